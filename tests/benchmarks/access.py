"""What it costs to know a caller again, which every call pays."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path
from typing import Final

from structlog.testing import capture_logs

from longshore.access import tokens
from longshore.access.keeper import Keeper
from longshore.core.access import Certificate, Presented
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.messages import submit_request
from tests.benchmarks.samples import Sample
from tests.benchmarks.submit import Side, compare
from tests.tools.issuer import Signer, key_set

_CERTIFICATE: Final = Certificate("CN=press,O=Longshore", ("press.example.org",))
_TARGET: Final = Target(sign="≤", bound=10)


async def measure(bench: Bench) -> list[Figure]:
    token, signer = tokens.new_token(), Signer("one", "RS256")
    file = _written(bench.directory, token, signer)
    shown: dict[str, Presented] = {
        "token": f"Bearer {token.secret_text}",
        "JSON Web Token": f"Bearer {signer.sign(exp=time.time() + 3_600)}",
        "client certificate": _CERTIFICATE,
    }
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(capture_logs())  # Standard output is for figures.
        keeper = await stack.enter_async_context(Keeper(file))
        for presented in shown.values():
            await keeper.identify(presented, "127.0.0.1")
        taken = await bench.interleaved(
            *(
                partial(_microseconds, keeper, presented, bench.size(100_000, 10))
                for presented in shown.values()
            ),
            rounds=7,
        )
    figures = [
        Figure(
            name=f"a {name} that is known", unit="µs", value=Sample.of(rounds), target=_TARGET
        )
        for name, rounds in zip(shown, taken, strict=True)
    ]
    return figures + await _calls(bench, file, token.secret_text)


async def _calls(bench: Bench, principals: Path, token: str) -> list[Figure]:
    """Compare submits with a token to those of a server that lets everybody in."""
    async with (
        bench.server("open") as open_,
        bench.server("access", "--principals", str(principals)) as guarded,
        connected(open_.address) as channel,
        connected(guarded.address) as guarded_channel,
    ):
        request = submit_request()
        request.options.allow_unregistered = True
        metadata = (("authorization", f"Bearer {token}"),)
        stub, guarded_stub = TaskServiceStub(channel), TaskServiceStub(guarded_channel)
        return await compare(
            bench,
            Side("without one", open_, lambda: stub.SubmitTask(request)),
            Side(
                "submit with a token",
                guarded,
                lambda: guarded_stub.SubmitTask(request, metadata=metadata),
            ),
        )


async def _microseconds(keeper: Keeper, presented: Presented, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        assert keeper.known(presented)
    return (time.perf_counter() - start) / calls * 1e6


def _written(folder: Path, token: tokens.NewToken, signer: Signer) -> Path:
    (folder / "jwks.json").write_bytes(key_set(signer))
    file = folder / "principals.toml"
    file.write_text(f"""
[[principals]]
name = "ada"
roles = ["submitter"]
certificates = ["{_CERTIFICATE.subject}"]

[[principals.tokens]]
id = "{token.id}"
hash = "{token.hash}"
created = 2026-11-23T08:00:00Z

[[issuers]]
name = "corp"
issuer = "https://id.example.org"
audience = "longshore"
keys = "jwks.json"
role_claim = "roles"
roles = {{ users = "submitter" }}
""")
    return file
