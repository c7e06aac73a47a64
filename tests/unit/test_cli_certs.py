"""`longshore certs dev`: what it makes, for whom, and what it leaves alone."""

from __future__ import annotations

import json
import shlex
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from longshore.cli.main import main
from longshore.client import Tls as ClientTls
from longshore.server.tls import Tls


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def dev(*words: str) -> Result:
    return CliRunner().invoke(main, ["certs", "dev", *words])


def certificate(file: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(file).read_bytes())


def test_it_makes_what_a_server_and_a_client_can_use() -> None:
    assert dev().exit_code == 0
    ca = Path("certs/ca.pem")
    assert Tls(Path("certs/server.pem"), Path("certs/server.key"), ca).credentials()
    own = ClientTls(ca, Path("certs/client.pem"), Path("certs/client.key"))
    assert own.credentials()


def test_its_authority_vouches_for_all_of_them() -> None:
    dev("--client", "ada", "--client", "press")
    ca = certificate("certs/ca.pem")
    for name in ("server", "ada", "press"):
        certificate(f"certs/{name}.pem").verify_directly_issued_by(ca)


def test_a_server_has_the_names_of_this_machine_and_those_that_are_given() -> None:
    dev("--host", "quay.example.org", "--host", "10.0.0.5", "--host", "localhost")
    names = certificate("certs/server.pem").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost", "quay.example.org"]
    assert names.value.get_values_for_type(x509.IPAddress) == [
        ip_address("127.0.0.1"),
        ip_address("::1"),
        ip_address("10.0.0.5"),
    ]


def test_certificates_are_good_for_a_year() -> None:
    dev()
    left = certificate("certs/server.pem").not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=364) < left < timedelta(days=366)


def test_keys_are_for_their_owner_only_and_that_of_the_authority_is_not_kept() -> None:
    dev("private")
    assert stat.S_IMODE(Path("private").stat().st_mode) == 0o700
    keys = sorted(Path("private").glob("*.key"))
    assert [key.name for key in keys] == ["client.key", "server.key"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert "PRIVATE" not in Path("private/ca.pem").read_text()


def test_it_says_what_to_type_next() -> None:
    said = dev("my certs").output
    served = "longshore serve --tls-cert 'my certs/server.pem' --tls-key 'my certs/server.key'"
    asked = "longshore status --ca 'my certs/ca.pem'"
    assert said.splitlines()[-4:] == [
        served,
        asked,
        f"{served} --tls-client-ca 'my certs/ca.pem'",
        f"{asked} --cert 'my certs/client.pem' --key 'my certs/client.key'",
    ]


def test_programs_are_told_the_same_as_json() -> None:
    told = json.loads(dev("--client", "ada", "--host", "quay", "--json").output)
    assert told["ca"] == "certs/ca.pem"
    assert told["server"] == {
        "certificate": "certs/server.pem",
        "key": "certs/server.key",
        "names": ["localhost", "127.0.0.1", "::1", "quay"],
    }
    (ada,) = told["clients"]
    assert ada == {
        "name": "ada",
        "subject": "CN=ada,OU=throw-away,O=Longshore",
        "certificate": "certs/ada.pem",
        "key": "certs/ada.key",
    }
    assert [shlex.split(line)[1] for line in told["commands"]] == ["serve", "status"] * 2


def test_files_that_are_there_are_left_alone_unless_forced() -> None:
    Path("certs").mkdir()
    key = Path("certs/server.key")
    key.write_text("precious")
    again = dev()
    assert again.exit_code == 2
    assert "certs/server.key exists already: --force replaces it" in again.output
    assert [file.name for file in Path("certs").iterdir()] == ["server.key"]
    assert dev("--force").exit_code == 0
    assert key.read_text() != "precious"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not list(Path("certs").glob("*.new"))


@pytest.mark.parametrize(
    "words, said",
    [
        (("--client", "../ada"), "--client ../ada"),
        (("--client", "ca"), "--client ca"),
        (("--client", "server"), "--client server"),
        (("--client", ""), "--client"),
        (("--host", "two words"), "--host"),
        (("--host", ""), "--host"),
    ],
)
def test_what_cannot_be_a_name_is_refused(words: tuple[str, str], said: str) -> None:
    answer = dev(*words)
    assert answer.exit_code == 2, answer.output
    assert said in answer.output
    assert not Path("certs").exists()


def test_a_folder_that_cannot_be_made_is_named() -> None:
    Path("file").write_text("")
    answer = dev("file/certs")
    assert answer.exit_code == 3
    assert "file/certs cannot be written" in answer.output
