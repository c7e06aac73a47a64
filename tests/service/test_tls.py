"""TLS between clients, workers and a server, over real connections; files that change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from longshore.client import Client, Tls, TlsFailed
from longshore.core.access import Certificate
from longshore.engine.engine import Engine
from longshore.server import tls as server_tls
from longshore.server.app import Server
from longshore.server.certificates import certificate_of
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore
from longshore.worker import Context, Worker
from tests.service.harness import PATIENCE_SECONDS
from tests.tools.certificates import Authority, Pair, put

worker = Worker("press", identity="press")

SERVED = "localhost"


@worker.action(executor="process")
def save_in_a_process(context: Context) -> dict[str, Any]:
    info = context.save_file("page.txt", b"printed").info
    return {"pid": os.getpid(), "size": info.size}


@worker.action
async def save_here(context: Context) -> dict[str, Any]:
    return {"size": (await context.save_file("page.txt", b"printed")).size}


@asynccontextmanager
async def serving(store: Path, tls: server_tls.Tls | None) -> AsyncGenerator[str]:
    """Serve until the block ends; give the address by the name of the certificate."""
    engine = Engine(SqliteStore(store, ProtoCodec()), ObstoreBlobs(f"{store}.files"))
    async with engine, Server(engine, "127.0.0.1:0", tls=tls) as server:
        yield f"{SERVED}:{server.address.rpartition(':')[2]}"


@asynccontextmanager
async def working(address: str, **credentials: Any) -> AsyncGenerator[None]:
    """Let the worker work until the block ends."""
    stopping, welcomed = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        worker.run(address, stopping=stopping, welcomed=welcomed, **credentials)
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        await welcomed.wait()
    try:
        yield
    finally:
        stopping.set()
        await running


async def refused(address: str, **credentials: Any) -> str:
    async with Client(address, **credentials) as client:
        with pytest.raises(TlsFailed) as refusal:
            await client.connect()
    return str(refusal.value).removeprefix(f"there is no connection to {address}: ")


async def within(condition: Callable[[], object]) -> None:
    """Wait until other tasks have brought something about."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "longshore.db"


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> Pair:
    """The server's, which may be replaced."""
    return authority.server.copy(tmp_path, "server")


@pytest.fixture
async def address(store: Path, pair: Pair) -> AsyncIterator[str]:
    """That of a server that speaks TLS and lets in whoever trusts it."""
    async with serving(store, server_tls.Tls(*pair)) as address:
        yield address


@pytest.fixture
async def strict(store: Path, pair: Pair, authority: Authority) -> AsyncIterator[str]:
    """That of a server that wants certificates of its clients."""
    async with serving(store, server_tls.Tls(*pair, authority.ca)) as address:
        yield address


@pytest.fixture
def always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshore.client.rereading.LOOK_SECONDS", 0.0)


# Servers.


async def test_a_client_meets_a_server_over_tls(address: str, authority: Authority) -> None:
    async with Client(address, tls=Tls(authority.ca)) as client:
        assert (await client.server.status()).version


async def test_a_token_may_be_shown_to_a_server_over_tls(
    address: str, authority: Authority
) -> None:
    async with Client(address, tls=Tls(authority.ca), token="lsk_x_y") as client:
        assert (await client.server.status()).version


async def test_a_server_of_an_authority_that_is_not_trusted_is_refused(
    address: str, stranger: Authority
) -> None:
    said = await refused(address, tls=Tls(stranger.ca))
    assert said.startswith("its certificate is not trusted (unable to get local issuer")


async def test_the_machine_trusts_none_of_them_by_itself(address: str) -> None:
    assert (await refused(address, tls=Tls())).startswith("its certificate is not trusted")


async def test_the_machine_may_be_told_whom_to_trust(
    address: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    async with Client(address, tls=Tls()) as client:
        await client.connect()


async def test_a_server_with_a_certificate_for_another_name_is_refused(
    address: str, authority: Authority
) -> None:
    said = await refused(address, tls=Tls(authority.ca, server_name="elsewhere"))
    assert said == "its certificate is for another name"


async def test_a_client_may_expect_another_name(
    store: Path, authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue("quay.example.org")
    async with serving(store, server_tls.Tls(*pair)) as address:
        assert await refused(address, tls=Tls(authority.ca))
        async with Client(
            address, tls=Tls(authority.ca, server_name="quay.example.org")
        ) as client:
            await client.connect()


async def test_a_client_without_tls_is_told_that_the_server_may_want_it(address: str) -> None:
    assert await refused(address) == "it hung up at once: it may want TLS"


async def test_an_expired_certificate_is_refused_by_clients(
    store: Path, authority: Authority
) -> None:
    pair = authority.issue(SERVED, ends=datetime.now(UTC) - timedelta(days=1))
    async with serving(store, server_tls.Tls(*pair)) as address:
        said = await refused(address, tls=Tls(authority.ca))
    assert said == "its certificate is not trusted (certificate has expired)"


@pytest.mark.parametrize(
    "version, served",
    [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)],
)
async def test_a_server_speaks_tls_of_version_1_2_and_later_only(
    version: str, served: bool, address: str, authority: Authority
) -> None:
    def shake_hands() -> str | None:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.set_ciphers("ALL:@SECLEVEL=0")  # without which OpenSSL offers no 1.1
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        context.load_verify_locations(authority.ca)
        context.set_alpn_protocols(["h2"])
        host, port = address.split(":")
        with (
            socket.create_connection((host, int(port)), PATIENCE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as wrapped,
        ):
            return wrapped.version()

    if served:
        assert await asyncio.to_thread(shake_hands) == version.replace("_", ".")
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(shake_hands)


# Certificates of clients.


async def test_a_client_with_a_certificate_is_let_in(strict: str, authority: Authority) -> None:
    ada = authority.issue(subject="ada")
    async with Client(strict, tls=Tls(authority.ca, *ada)) as client:
        assert (await client.server.status()).version


async def test_a_client_without_a_certificate_is_not(strict: str, authority: Authority) -> None:
    said = await refused(strict, tls=Tls(authority.ca))
    assert said == "it hung up during TLS: it may want a client certificate that it trusts"


async def test_a_client_with_a_certificate_of_another_authority_is_not_let_in(
    strict: str, authority: Authority, stranger: Authority
) -> None:
    said = await refused(strict, tls=Tls(authority.ca, *stranger.issue(subject="ada")))
    assert said == "it hung up during TLS: it may want a client certificate that it trusts"


class Doorman(grpc.GenericRpcHandler):
    """Answers everything, and notes whose certificate it was shown."""

    def __init__(self) -> None:
        self.seen: Certificate | None = None

    def service(self, handler_call_details: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            self.seen = certificate_of(context.auth_context())
            return b""

        handler: Any = grpc.unary_unary_rpc_method_handler
        return handler(answer)


async def certificate_seen(tls: server_tls.Tls, client: Tls) -> Certificate | None:
    doorman = Doorman()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([doorman])
    port = server.add_secure_port("127.0.0.1:0", tls.credentials())
    await server.start()
    async with Client(f"{SERVED}:{port}", tls=client) as caller:
        await caller.server.status()
    await server.stop(None)
    return doorman.seen


@pytest.mark.parametrize(
    "subject, names, written",
    [
        ("ada", (), r"CN=ada,OU=tests,O=Quay\, Ltd."),
        ("Jörg + Zoë", ("press.example.org",), r"CN=Jörg \+ Zoë,OU=tests,O=Quay\, Ltd."),
        ("a\\c3", ("127.0.0.1", "ada@example.org"), r"CN=a\\c3,OU=tests,O=Quay\, Ltd."),
        ("x,O=Longshore", (), r"CN=x\,O=Longshore,OU=tests,O=Quay\, Ltd."),
    ],
)
async def test_a_server_knows_subject_and_names_of_a_client_certificate(
    subject: str, names: tuple[str, ...], written: str, pair: Pair, authority: Authority
) -> None:
    shown = Tls(authority.ca, *authority.issue(*names, subject=subject))
    seen = await certificate_seen(server_tls.Tls(*pair, authority.ca), shown)
    assert seen is not None
    assert seen.subject == written
    assert sorted(seen.names) == sorted(names)


async def test_a_server_that_asks_for_no_certificate_knows_none(
    pair: Pair, authority: Authority
) -> None:
    shown = Tls(authority.ca, *authority.issue(subject="ada"))
    assert await certificate_seen(server_tls.Tls(*pair), shown) is None


# Files that change.


async def test_a_new_certificate_is_served_while_watches_go_on(
    address: str, pair: Pair, authority: Authority, stranger: Authority
) -> None:
    async with Client(address, tls=Tls(authority.ca)) as before:
        watch = before.tasks.watch()
        handle = await before.tasks.submit("print", allow_unregistered=True)
        assert (await anext(watch)).task.metadata.id == handle.id
        for new, old in zip(stranger.server, pair, strict=True):
            put(new, old)
        assert "not trusted" in await refused(address, tls=Tls(authority.ca))
        async with Client(address, tls=Tls(stranger.ca)) as after:
            await after.tasks.cancel(handle.id)
        assert (await anext(watch)).task.metadata.id == handle.id
        watch.close()


async def test_clients_take_up_new_files_and_their_watches_go_on(
    strict: str,
    pair: Pair,
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    always_looking: None,
    store: Path,
) -> None:
    own = authority.issue(subject="ada").copy(tmp_path, "ada")
    ca = tmp_path / "ca.pem"
    put(authority.ca, ca)
    async with Client(strict, tls=Tls(ca, *own)) as client:
        streams = within_client(client)._streams._opened
        (first,) = streams.now()
        watch = client.tasks.watch()
        handle = await client.tasks.submit("print", allow_unregistered=True)
        assert (await anext(watch)).task.metadata.id == handle.id
        for new, old in zip(stranger.server, pair, strict=True):
            put(new, old)
        put(stranger.ca, ca)
        for new, old in zip(authority.issue(subject="bob"), own, strict=True):
            put(new, old)
        await client.tasks.cancel(handle.id)
        other = client.tasks.watch()
        assert (await anext(watch)).task.metadata.id == handle.id
        await anext(other)
        assert streams.now() != [first]
        assert streams._old == {first}
        watch.close()
        await within(lambda: not streams._old)
        other.close()


def within_client(client: Any) -> Any:
    return client._connection


async def test_what_a_stream_has_to_say_arrives_also_when_its_files_are_outdated(
    address: str, authority: Authority, tmp_path: Path, always_looking: None
) -> None:
    ca = tmp_path / "ca.pem"
    put(authority.ca, ca)
    data = os.urandom(3_000_000)
    async with Client(address, tls=Tls(ca)) as client:
        file = await client.files.upload(data)
        reading = client.files.read(file.file_id)
        first = await anext(reading)
        put(authority.ca, ca)
        await client.server.status()
        within_client(client)._streams._opened.now()
        rest = b"".join([piece async for piece in reading])
    assert first + rest == data


async def test_a_client_that_waits_for_a_server_meets_it_with_its_new_files(
    address: str,
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("longshore.client.rereading.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("longshore.client.servers.LOOK_SECONDS", 0.01)
    ca = tmp_path / "ca.pem"
    put(stranger.ca, ca)
    async with Client(address, tls=Tls(ca)) as client:
        waiting = asyncio.create_task(within_client(client)._streams.connected(None, wait=True))
        servers = within_client(client)._streams
        await within(
            lambda: (
                servers._opened._channels[0].get_state()
                is grpc.ChannelConnectivity.TRANSIENT_FAILURE
            )
        )
        assert not waiting.done()
        put(authority.ca, ca)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await waiting


async def test_a_half_written_pair_is_said_once_and_the_old_one_is_served_meanwhile(
    address: str, pair: Pair, authority: Authority, stranger: Authority
) -> None:
    old, new = Tls(authority.ca), Tls(stranger.ca)
    replacement = stranger.server
    with capture_logs() as logged:
        put(replacement.certificate, pair.certificate)
        for _ in range(3):
            async with Client(address, tls=old) as client:
                await client.connect()
        (said,) = logged
        assert said["log_level"] == "error"
        assert said["event"] == "tls_unchanged"
        assert (
            said["error"] == f"{pair.key} is not the key of the certificate {pair.certificate}"
        )
        put(replacement.key, pair.key)
        async with Client(address, tls=new) as client:
            await client.connect()
    assert [one["event"] for one in logged] == ["tls_unchanged", "tls_reloaded"]
    assert "PRIVATE" not in str(logged)


async def test_a_server_goes_on_when_its_files_are_gone(
    address: str, pair: Pair, authority: Authority
) -> None:
    pair.certificate.unlink()
    async with Client(address, tls=Tls(authority.ca)) as client:
        await client.connect()


async def test_another_authority_of_clients_holds_from_the_next_connection_on(
    store: Path, pair: Pair, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    client_ca = tmp_path / "clients.pem"
    put(authority.ca, client_ca)
    ada, bob = authority.issue(subject="ada"), stranger.issue(subject="bob")
    async with (
        serving(store, server_tls.Tls(*pair, client_ca)) as address,
        Client(address, tls=Tls(authority.ca, *ada)) as client,
    ):
        await client.connect()
        put(stranger.ca, client_ca)
        assert await refused(address, tls=Tls(authority.ca, *ada))
        async with Client(address, tls=Tls(authority.ca, *bob)) as other:
            await other.connect()
        assert (await client.server.status()).version


async def test_many_handshakes_meet_certificates_that_change(
    address: str, pair: Pair, authority: Authority
) -> None:
    async def meet() -> None:
        async with Client(address, tls=Tls(authority.ca)) as client:
            await client.server.status()

    for _ in range(5):
        replacement = authority.server
        await asyncio.gather(*(meet() for _ in range(5)))
        for new, old in zip(replacement, pair, strict=True):
            put(new, old)
        await asyncio.gather(*(meet() for _ in range(5)))


# Workers.


@pytest.mark.parametrize("action", ["save_here", "save_in_a_process"])
async def test_a_worker_and_its_files_go_over_tls(
    action: str, strict: str, authority: Authority, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("lsk_x_y")
    tls = Tls(authority.ca, *authority.issue(subject="press"))
    async with working(strict, tls=tls, token=token), Client(strict, tls=tls) as client:
        handle = await client.tasks.submit(action)
        await handle.result()
        (file,) = (await handle.status()).files
        reading = client.files.read(file.file_id)
        assert b"".join([piece async for piece in reading]) == b"printed"


async def test_a_worker_says_why_tls_does_not_work(address: str, stranger: Authority) -> None:
    with capture_logs() as logged:
        running = asyncio.create_task(worker.run(address, tls=Tls(stranger.ca)))
        await within(lambda: logged)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert logged[0]["event"] == "stream_ended"
    assert logged[0]["message"].startswith("its certificate is not trusted")
