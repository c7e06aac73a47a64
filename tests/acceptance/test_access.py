"""A server that knows who calls: principals, TLS and the audit log, with real processes."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.acceptance.commands import Answer, call
from tests.acceptance.processes import Program, Server, dockhand_environment
from tests.acceptance.waiting import eventually, eventually_answered

SCAN = ("run", "task", "scan", "path=tests/tools", "--json")


@pytest.fixture
def principals(tmp_path: Path) -> Path:
    return tmp_path / "principals.toml"


async def principal(file: Path, *words: str) -> str:
    """Run `longshore principals …` and return what it prints."""
    async with Program("principals", *words, "--principals", file) as program:
        assert await program.ended() == 0, program.err
    return "\n".join(program.out)


async def becomes(server: Server, code: int, *words: str, **environment: str) -> Answer:
    """Repeat a command until it ends so."""

    async def ask() -> Answer | None:
        answer = await call(server, *words, **environment)
        return answer if answer.code == code else None

    answer = await eventually_answered(ask, f"exit code {code} of {words}")
    assert answer is not None
    return answer


async def test_who_is_known_is_served_and_nobody_else(store: Path, principals: Path) -> None:
    token = await principal(principals, "add", "ada", "--role", "submitter")
    async with Server(store, "--demo", "--principals", principals) as server:
        served = await becomes(server, 0, *SCAN, LONGSHORE_TOKEN=token)
        assert served.json[-1]["task"]["status"]["state"] == "STATE_SUCCEEDED"
        for wrong in ("", token[:-1] + ("a" if token[-1] != "a" else "b"), "nonsense"):
            refused = await call(server, "status", LONGSHORE_TOKEN=wrong)
            assert refused.code == 3
            assert "LONGSHORE_TOKEN, --token-file or --cert and --key say who you are" in (
                refused.err
            )
        denied = await call(server, "queue", "pause", "default", LONGSHORE_TOKEN=token)
        assert denied.code == 3
        assert "role" in denied.err
    said = "\n".join([*server.out, *server.err, store.read_bytes().decode("latin-1")])
    assert token.rpartition("_")[2] not in said


async def test_whoever_is_added_is_served_and_whoever_is_revoked_is_not_any_more(
    store: Path, principals: Path
) -> None:
    await principal(principals, "add", "root", "--role", "admin")
    async with Server(store, "--principals", principals) as server:
        token = await principal(principals, "add", "ada", "--role", "viewer")
        await becomes(server, 0, "status", LONGSHORE_TOKEN=token)
        second = await principal(principals, "token", "ada")
        watching = Program(
            "watch",
            "--server",
            server.address,
            "--json",
            environment={"LONGSHORE_TOKEN": token},
        )
        async with watching:
            await principal(principals, "revoke", token)
            await becomes(server, 3, "status", LONGSHORE_TOKEN=token)
            assert await watching.ended() == 3
        await becomes(server, 0, "status", LONGSHORE_TOKEN=second)
        await principal(principals, "remove", "ada")
        await becomes(server, 3, "status", LONGSHORE_TOKEN=second)


async def test_a_file_that_becomes_invalid_changes_nothing_and_is_told_of(
    store: Path, principals: Path
) -> None:
    token = await principal(principals, "add", "ada", "--role", "viewer")
    async with Server(store, "--principals", principals) as server:
        valid = principals.read_text()
        principals.write_text(valid + '[[principals]]\nname = "ada"\n')
        told = await server.said(r'.*"principals_unchanged".*', server.err)
        assert json.loads(told[0])["level"] == "error"
        assert (await call(server, "status", LONGSHORE_TOKEN=token)).code == 0


async def test_the_file_of_settings_may_say_who_may_call(store: Path, tmp_path: Path) -> None:
    settings = tmp_path / "longshore.toml"
    settings.write_text('[serve]\nlog-level = "warning"\n')
    token = await principal(settings, "add", "ada", "--role", "viewer")
    async with Server(store, "--config", settings) as server:
        assert (await call(server, "status", LONGSHORE_TOKEN=token)).code == 0
        assert (await call(server, "status")).code == 3


async def test_what_is_denied_and_what_operators_do_is_in_the_audit_log(
    store: Path, principals: Path, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.log"
    token = await principal(principals, "add", "ada", "--role", "viewer")
    root = await principal(principals, "add", "root", "--role", "operator")
    options = ("--principals", principals, "--audit-log", audit)
    async with Server(store, *options) as server:
        await call(server, "status", LONGSHORE_TOKEN=token[:-4] + "aaaa")
        await call(server, "queue", "pause", "default", LONGSHORE_TOKEN=token)
        await call(server, "queue", "pause", "default", LONGSHORE_TOKEN=root)
        entries = await eventually(
            lambda: [*map(json.loads, audit.read_text().splitlines())][2:] or None, "the log"
        )
        assert entries is not None
        told = [*map(json.loads, audit.read_text().splitlines())]
        moved = audit.rename(tmp_path / "audit.log.1")
        await call(server, "queue", "resume", "default", LONGSHORE_TOKEN=root)
        assert audit.read_text().count("\n") == 1
    assert [(one["event"], one["principal"]) for one in told] == [
        ("denied", None),
        ("denied", "ada"),
        ("done", "root"),
    ]
    pause = "/longshore.v1.QueueService/UpdateQueue"
    assert [one["method"] for one in told[1:]] == [pause, pause]
    assert {one["address"] for one in told} == {"127.0.0.1"}
    assert all(one["request_id"] for one in told)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (audit, moved)} == {0o600}
    assert not any('"denied"' in line for line in server.err)


class Certificates:
    """Files of a certificate authority, a server and a client."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.server = self._issued(folder / "server", authority, "localhost", "127.0.0.1")
        self.client = self._issued(folder / "client", authority, "press.example.org")

    def _issued(self, name: Path, authority: trustme.CA, *names: str) -> tuple[Path, Path]:
        issued = authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
        certificate, key = name.with_suffix(".pem"), name.with_suffix(".key")
        certificate.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    @property
    def of_server(self) -> tuple[str | Path, ...]:
        return ("--tls-cert", self.server[0], "--tls-key", self.server[1])

    @property
    def of_client(self) -> Mapping[str, str]:
        certificate, key = map(str, self.client)
        return {
            "LONGSHORE_CA": str(self.ca),
            "LONGSHORE_CERT": certificate,
            "LONGSHORE_KEY": key,
        }


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_with_tls_a_worker_inside_works_and_nobody_is_heard_in_the_clear(
    store: Path, principals: Path, certificates: Certificates
) -> None:
    token = await principal(principals, "add", "ada", "--role", "submitter")
    options = ("--demo", "--principals", principals, *certificates.of_server)
    async with Server(store, *options) as server:
        trusted = {"LONGSHORE_CA": str(certificates.ca), "LONGSHORE_TOKEN": token}
        served = await becomes(server, 0, *SCAN, **trusted)
        assert served.json[-1]["task"]["status"]["state"] == "STATE_SUCCEEDED"
        assert (await call(server, "status", LONGSHORE_TOKEN=token)).code == 3
        assert (await call(server, "status", LONGSHORE_CA=str(certificates.ca))).code == 3
        assert await server.terminate() == 0


async def test_a_worker_inside_may_do_all_that_work_asks_for(
    store: Path, principals: Path, journal: Path
) -> None:
    token = await principal(principals, "add", "ada", "--role", "submitter")
    options = ("--worker", "tests.acceptance.work:worker", "--principals", principals)
    environment = dockhand_environment(journal)
    async with Server(store, *options, environment=environment) as server:
        load = ("run", "task", "load", "sizes:=[1000]", "--json")
        done = await becomes(server, 0, *load, LONGSHORE_TOKEN=token)
        assert len(done.json[-1]["task"]["status"]["files"]) == 1
        listed = await call(server, "workers", "--json", LONGSHORE_TOKEN=token)
        assert len(listed.out) == 1


async def test_a_client_certificate_is_a_credential_where_its_authority_is_trusted(
    store: Path, principals: Path, certificates: Certificates
) -> None:
    await principal(
        principals,
        *("add", "press", "--role", "submitter", "--no-token"),
        *("--certificate", "press.example.org"),
    )
    options = ("--demo", "--principals", principals, *certificates.of_server)
    async with Server(store, *options, "--tls-client-ca", certificates.ca) as server:
        served = await becomes(server, 0, *SCAN, **certificates.of_client)
        assert served.json[-1]["task"]["status"]["state"] == "STATE_SUCCEEDED"
        without = await call(server, "status", LONGSHORE_CA=str(certificates.ca))
        assert without.code == 3


async def test_off_loopback_a_server_needs_both_and_says_what_it_lacks(
    store: Path, principals: Path, certificates: Certificates
) -> None:
    where = ("serve", "--listen", "0.0.0.0:0", "--store", f"sqlite:{store}")
    async with Program(*where) as program:
        assert await program.ended() == 2
    assert "longshore principals add" in "\n".join(program.err)
    assert not store.exists()
    await principal(principals, "add", "ada", "--role", "viewer")
    protected = ("--principals", str(principals), *map(str, certificates.of_server))
    async with Program(*where, *protected) as program:
        await program.said("longshore listening on")
        assert await program.terminate() == 0
    assert not any("insecure" in line for line in program.err)


async def test_who_insists_may_serve_anybody_and_is_warned(store: Path) -> None:
    where = ("serve", "--listen", "0.0.0.0:0", "--store", f"sqlite:{store}", "--insecure")
    async with Program(*where) as program:
        await program.said("longshore listening on")
        assert await program.terminate() == 0
    warned = [json.loads(line) for line in program.err if '"insecure"' in line]
    assert [one["level"] for one in warned] == ["warning", "warning"]
    assert "there are no principals" in warned[0]["missing"]
    assert "there is no TLS" in warned[1]["missing"]
