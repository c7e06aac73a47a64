"""A run with secrets of every kind: nothing that it writes, or answers, holds one of them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio
import pytest

from longshore.client import Client, Tls
from longshore.v1.catalog_service_pb2 import Schedule
from longshore.v1.operation_pb2 import DELIVERY_MODE_STORE, Callback
from tests.acceptance.commands import call
from tests.acceptance.processes import COMMAND, ROOT, Program, Server, dockhand_environment
from tests.acceptance.quay import log_of, until_ended
from tests.acceptance.reading import READS, Known, read_all
from tests.acceptance.treasury import MARK, bank, nightly, refusals, submit_all
from tests.acceptance.waiting import eventually_answered, within
from tests.tools.certificates import Authority
from tests.tools.issuer import Signer, key_set

CALLER: Final = "/longshore.v1.ServerService/GetCaller"
PASSWORD: Final = f"{MARK}-basic-password"
WRONG: Final = f"{MARK}-wrong"

#: In addresses, which are arguments and so are shown, but are repeated nowhere.
ADDRESSED: Final = "plugh"


class Secret(NamedTuple):
    """A secret, in all the ways in which it could be written."""

    kind: str
    texts: tuple[str, ...]

    def is_in(self, data: bytes) -> bool:
        return any(text.encode() in data for text in self.texts)


class Office(NamedTuple):
    """Where all happens, and what those who call show of themselves."""

    folder: Path
    ca: Path
    ada: str
    root: str
    press: str
    api_key: str
    signer: Signer

    @property
    def principals(self) -> Path:
        return self.folder / "principals.toml"

    @property
    def tls(self) -> Tls:
        return Tls(ca=self.ca)

    def environment(self, token: str) -> dict[str, str]:
        return {"LONGSHORE_TOKEN": token, "LONGSHORE_CA": str(self.ca)}

    def signed(self, **claims: Any) -> str:
        return self.signer.sign(**{"exp": time.time() + 600, **claims})


class Run(NamedTuple):
    """What was secret, and all that was written and answered, by where."""

    credentials: Sequence[Secret]
    written: Mapping[str, bytes]
    answered: Mapping[str, bytes]
    stored: Mapping[str, bytes]  #: By the server, on disk.
    told: str  #: What the worker noted of its secrets.
    asked: Sequence[str]  #: Of the site, by workers.
    verdicts: Sequence[str]  #: The statuses of calls with wrong credentials.
    errors: str  #: Of work that failed for files on the web, and the events of all work.


async def typed(*words: str | Path, said: str = "") -> str:
    """Run a command that reads its standard input, and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *map(str, words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    out, _ = await within(process.communicate(said.encode()), "the end of a command")
    assert process.returncode == 0
    return out.decode()


async def office_in(folder: Path, authority: Authority) -> Office:
    """Write down who may call."""
    file = folder / "principals.toml"
    add = partial(typed, "principals", "add", "--principals", file, "--json")
    ada = json.loads(
        await add("ada", "--role=submitter", "--api-key", "--password-stdin", said=PASSWORD)
    )
    root = json.loads(await add("root", "--role=admin"))
    press = json.loads(await add("press", "--role=worker", "--queue=*"))
    signer = Signer("one")
    (folder / "keys.json").write_bytes(key_set(signer))
    with file.open("a") as issuers:
        issuers.write(
            '[[issuers]]\nname = "corp"\nissuer = "https://id.example.org"\n'
            'audience = "longshore"\nkeys = "keys.json"\n'
            'role_claim = "roles"\nroles = { users = "submitter" }\n'
        )
    return Office(
        folder,
        authority.ca,
        ada["token"],
        root["token"],
        press["token"],
        ada["api_key"],
        signer,
    )


class Site:
    """A web site that has no file for anybody, and is glad to be called back."""

    def __init__(self, port: int, asked: list[str]) -> None:
        self.asked = asked
        self.host = f"127.0.0.1:{port}"

    def address(self, path: str) -> str:
        return f"http://ada:{ADDRESSED}-password@{self.host}{path}?token={ADDRESSED}-query"

    @property
    def callback(self) -> str:
        return f"http://{self.host}/done?token={ADDRESSED}-callback"


@contextmanager
def site() -> Generator[Site]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(int(self.path[1:4]))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(204)

        def _answer(self, status: int) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Site(server.server_port, asked)
        server.shutdown()
        thread.join()


class Staff(NamedTuple):
    """All that runs for long."""

    server: Server
    workers: tuple[Program, ...]

    @property
    def programs(self) -> tuple[Program, ...]:
        return self.server, *self.workers


@asynccontextmanager
async def staff(office: Office, authority: Authority) -> AsyncGenerator[Staff]:
    pair, folder = authority.server, office.folder
    token_file = folder / "press.token"
    token_file.write_text(office.press)
    server = Server(
        folder / "longshore.db",
        *("--principals", office.principals, "--log-level=debug"),
        *("--tls-cert", pair.certificate, "--tls-key", pair.key),
        *("--audit-log", folder / "audit.log"),
    )
    async with server:
        common = ("--server", server.address, "--ca", office.ca, "--log-level=debug")
        workers = (
            Program(
                *("worker", "tests.acceptance.vault:worker", *common),
                environment={
                    **office.environment(office.press),
                    "VAULT_NOTES": str(folder / "notes"),
                },
            ),
            Program(
                *("worker", "tests.acceptance.work:worker", *common),
                *("--token-file", token_file),
                environment=dockhand_environment(folder / "journal", "dockhand"),
            ),
            Program(
                *("worker", "tests.acceptance.herald:worker", *common),
                *("--token-file", token_file),
            ),
        )
        async with workers[0], workers[1], workers[2]:
            yield Staff(server, workers)


async def connected(client: Client, count: int) -> None:
    async def look() -> bool:
        return len([one async for one in client.server.workers()]) >= count

    await eventually_answered(look, f"{count} workers")


async def work(office: Office, client: Client, place: Site) -> tuple[Known, str]:
    """Have work done, and failed, that is told secrets; return its ids, and what went wrong."""
    await client.catalog.apply_contract(bank())
    await client.catalog.apply_schedule(nightly())
    handles = await submit_all(client)
    on_the_web = [
        await client.tasks.submit(
            "unload",
            {"file": place.address(f"/{status}/hold"), "gate": str(office.principals)},
            max_attempts=1,
        )
        for status in (403, 404, 500)
    ]
    called = await client.tasks.submit("quick", callback=Callback(url=place.callback))
    held = await client.tasks.submit("unlock", {"key": f"{MARK}-held"}, suspended=True)
    await held.cancel()
    handles += [*on_the_web, called, held, await of_a_schedule(client)]
    await until_ended(client, [one.id for one in handles])
    again = [await handles[0].resubmit(), await handles[1].resubmit(from_failed=True)]
    kept = await client.tasks.submit("weigh", {"size": 10}, delivery=DELIVERY_MODE_STORE)
    async with client.operations.watch(called.id) as changes:
        async for _ in changes:
            pass
    await eventually_answered(partial(told_of_callback, client, called.id), "a callback")
    await until_ended(client, [one.id for one in (*again, kept)])
    failed = [await client.operations.get(one.id) for one in on_the_web]
    errors = [str(one.message.status) for one in failed]
    errors += map(str, await log_of(client))
    async for one in client.tasks.list(filter="state = SUSPENDED"):
        await one.cancel()  # the mark at which the log was read
    return await known(client), "\n".join(errors)


async def of_a_schedule(client: Client) -> Any:
    """Return the first launch of a schedule that is due all the time."""
    often = Schedule()
    often.CopyFrom(nightly())
    often.name = "often"
    often.launch.arguments.update({"key": f"{MARK}-often"})
    often.interval.FromSeconds(1)
    before = {one.id async for one in client.launches.list()}
    await client.catalog.apply_schedule(often)

    async def look() -> Any:
        return [one async for one in client.launches.list() if one.id not in before]

    found = await eventually_answered(look, "the launch of a schedule")
    await client.catalog.delete_schedule("often")
    return found[0]


async def told_of_callback(client: Client, task_id: str) -> bool:
    events = [event async for event in client.operations.history(task_id)]
    return any(event.HasField("callback_sent") for event in events)


async def known(client: Client) -> Known:
    tasks = [one.id async for one in client.tasks.list()]
    jobs = [one.id async for one in client.jobs.list()]
    launches = [one.id async for one in client.launches.list()]
    await until_ended(client, [*tasks, *jobs, *launches])
    file = await client.files.upload(b"a file", path="a.txt")
    return Known(
        tasks,
        jobs,
        launches,
        ["bank", "none"],
        ["nightly", "none"],
        ["", "open-vault", "none"],
        [file.file_id, "none"],
    )


async def show(channel: Any, authorization: str, api_key: str = "") -> tuple[str, bytes]:
    """Show a credential; return the status and all that was answered."""
    said = [("authorization", authorization), *((("api-key", api_key),) if api_key else ())]
    try:
        answer = await channel.unary_unary(CALLER)(b"", metadata=said, timeout=60)
    except grpc.aio.AioRpcError as error:
        answered = f"{error!r} {error.details()} {error.trailing_metadata()!r}"
        return error.code().name, answered.encode()
    return "OK", bytes(answer)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def right_ones(office: Office, token: str) -> list[tuple[str, str]]:
    return [
        (f"Bearer {office.ada}", office.api_key),
        (f"Bearer {office.ada}", f"{WRONG}-key"),
        (basic("ada", PASSWORD), ""),
        (f"Bearer {token}", ""),
    ]


def wrong_ones(office: Office, token: str) -> list[str]:
    head, _, _ = token.rpartition(".")
    return [
        f"Bearer {office.ada[:-43]}{WRONG:-<43}",
        basic("ada", f"{WRONG}-password"),
        basic("nobody", f"{WRONG}-stranger"),
        f"Bearer {head}.{WRONG}",
        f"Bearer {office.signed(exp=time.time() - 600, jti=WRONG)}",
        f"Bearer {office.signed(roles=[WRONG])}",
        f"Bearer {office.signed(aud=WRONG)}",
        f"Bearer {WRONG}",
        f"Basic {WRONG}",
        f"{WRONG}-scheme {WRONG}",
        WRONG,
        "Bearer " + WRONG * 1_000,
    ]


async def at_the_command_line(office: Office, server: Server, known: Known) -> bytes:
    """Type commands that read, and some that show wrong credentials."""
    right, wrong = office.environment(office.root), office.environment(office.ada[:-4] + "aaaa")
    numbers = [*known.tasks[:3], *known.jobs[:2], *known.launches[:2]]
    answers = [
        await call(server, *words, **right)
        for words in (
            ("get", *numbers),
            ("get", *numbers, "--json"),
            ("list", "--json"),
            ("list", "launches"),
            ("list", "jobs", "--json"),
            ("history", known.jobs[1]),
            ("history", known.jobs[1], "--json"),
            ("explain", known.jobs[1]),
            ("watch", *numbers),
            ("watch", *numbers, "--json"),
            ("contracts", "show", "bank"),
            ("contracts", "list"),
            ("schedules", "show", "nightly"),
            ("services",),
            ("workers", "--json"),
            ("queue", "list"),
            ("status",),
            ("launches",),
            ("accounts", "list"),
        )
    ]
    assert {answer.code for answer in answers} == {0, 1}  # some watched what has failed
    answers += [
        await call(server, "status", **wrong),
        await call(server, "status", "--token", f"lsk_k3v9x2m7q4_{WRONG}", **right),
        await call(server, "run", "launch", "open-vault", f"key={MARK}-typed", **right),
        await call(server, "submit", "launch", "open-vault", f"key:=[{MARK}-bad]", **right),
    ]
    file = ("--principals", str(office.principals))
    for words in (
        ("list",),
        ("list", "--json"),
        ("show", "ada"),
        ("show", "ada", "--json"),
        ("check",),
        ("revoke", f"lsk_k3v9x2m7q4_{WRONG}"),
    ):
        answers.append(await call(server, "principals", *words, *file))
    return "\n".join(f"{one.text}\n{one.err}" for one in answers).encode()


def command_lines(programs: Sequence[Program]) -> bytes:
    """Return how processes, and those that they have started, look to everybody."""
    found: list[bytes] = []
    waiting = [program.pid for program in programs]
    while waiting:
        pid = waiting.pop()
        found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # A thread may end any time.
                waiting += map(int, (task / "children").read_text().split())
    return b"\n".join(found)


def credentials(office: Office, token: str) -> list[Secret]:
    secrets = [
        Secret(f"token of {name}", (text, text.split("_", 2)[2]))
        for name, text in (("ada", office.ada), ("root", office.root), ("press", office.press))
    ]
    encoded = basic("ada", PASSWORD).removeprefix("Basic ")
    return [
        *secrets,
        Secret("api-key", (office.api_key,)),
        Secret("password", (PASSWORD, encoded)),
        Secret("JSON Web Token", (token, token.rpartition(".")[2])),
        Secret(
            "wrong credential", (WRONG, base64.b64encode(WRONG.encode()).decode().strip("="))
        ),
    ]


@pytest.fixture(scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Run:
    office = await office_in(tmp_path_factory.mktemp("secrets"), authority)
    token = office.signed()
    answered: dict[str, bytes] = {}
    credential = grpc.ssl_channel_credentials(office.ca.read_bytes())
    with site() as place:
        async with (
            staff(office, authority) as running,
            Client(running.server.address, token=office.root, tls=office.tls) as client,
            grpc.aio.secure_channel(running.server.address, credential) as bare,
        ):
            for number, (shown, api_key) in enumerate(right_ones(office, token)):
                verdict, answered[f"right credential {number}"] = await show(
                    bare, shown, api_key
                )
                assert verdict == "OK"
            await connected(client, 3)
            there, errors = await work(office, client, place)
            answered["refusals"] = "\n".join(await refusals(client)).encode()
            asking = _Showing(bare, office.root)
            for path, answers in (await read_all(asking, there)).items():
                answered[path] = b"\n".join(answers)
            answered["commands"] = await at_the_command_line(office, running.server, there)
            answered["processes"] = command_lines(running.programs)
            verdicts: list[str] = []
            wrong = wrong_ones(office, token)
            for number, shown in enumerate(wrong[:4]):
                verdict, answered[f"wrong credential {number}"] = await show(bare, shown)
                verdicts.append(verdict)
            rest = await asyncio.gather(*(show(bare, shown) for shown in wrong[4:]))
            verdicts += [verdict for verdict, _ in rest]
            answered["other wrong credentials"] = b"\n".join(answer for _, answer in rest)
            for worker in running.workers:
                assert await worker.terminate() == 0
            assert await running.server.terminate() == 0
        written = {
            name: "\n".join([*program.out, *program.err]).encode()
            for name, program in zip(
                ("server", "keeper", "dockhand", "herald"), running.programs, strict=True
            )
        }
    folder = office.folder
    written["audit log"] = (folder / "audit.log").read_bytes()
    stored = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name.startswith(("longshore.db", "principals"))
    }
    return Run(
        credentials(office, token),
        written,
        answered,
        stored,
        (folder / "notes").read_text(),
        place.asked,
        verdicts,
        errors,
    )


class _Showing:
    """A channel whose calls all show a token."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._channel: Any = channel
        self._said = (("authorization", f"Bearer {token}"),)

    def unary_unary(self, path: str) -> Any:
        return partial(self._channel.unary_unary(path), metadata=self._said)

    def unary_stream(self, path: str) -> Any:
        return partial(self._channel.unary_stream(path), metadata=self._said)


def test_credentials_are_in_nothing_that_is_written_answered_or_stored(run: Run) -> None:
    everything = {**run.written, **run.answered, **run.stored}
    found = [
        (secret.kind, where)
        for secret in run.credentials
        for where, data in everything.items()
        if secret.is_in(data)
    ]
    assert found == []


def test_password_arguments_are_in_nothing_that_is_written_or_answered(run: Run) -> None:
    everything = {**run.written, **run.answered}
    assert [where for where, data in everything.items() if MARK.encode() in data] == []
    assert MARK not in run.errors


def test_passwords_and_queries_of_addresses_are_in_no_log_and_no_error(run: Run) -> None:
    logs = [where for where, data in run.written.items() if ADDRESSED.encode() in data]
    assert logs == []
    assert ADDRESSED not in run.errors


def test_the_run_would_have_shown_them(run: Run) -> None:
    """All secrets have been used: they were told, sent, tried and refused."""
    for secret in ("agreed", "launch", "task", "other", "often", "typed"):
        assert f"{MARK}-{secret}" in run.told
    assert f"/done?token={ADDRESSED}-callback" in run.asked
    assert f"/500/hold?token={ADDRESSED}-query" in run.asked
    assert run.verdicts[:4] == ["UNAUTHENTICATED"] * 4
    assert set(run.verdicts) <= {"UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED"}
    assert "/500/hold?… cannot be read" in run.errors
    failures = run.written["server"].count(b'"authentication_failed"')
    assert failures >= 4
    assert b'"denied"' in run.written["audit log"]
    for where in ("server", "keeper", "dockhand", "herald"):
        assert run.written[where]
    assert any(MARK.encode() in data for data in run.stored.values())
    read = [path for path in READS if "grpc.reflection" not in path]
    assert set(read) <= set(run.answered)
    assert b"/longshore" in run.answered["processes"]
    assert os.fsencode(COMMAND) in run.answered["processes"]
