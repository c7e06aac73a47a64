from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from longshore.access import passwords, tokens
from longshore.access.configuration import read
from longshore.access.errors import InvalidPrincipals
from longshore.core.principals import (
    ANY,
    Delivery,
    Grants,
    ParameterName,
    Principal,
    Role,
)

PASSWORD = passwords.hashed("swordfish")
TOKEN = tokens.new_token()
API_KEY = tokens.new_api_key()

FULL = f"""
[[principals]]
name = "ada"
roles = ["submitter"]
tenants = ["north", "south"]
actions = ["archive/*", "greet", "*/digest"]
queues = ["longshore.callbacks", "heavy"]
values = {{ "archive/ingest/data" = ["sms", "photos"], "/greet/name" = ["you"] }}
delivery = "channel"
stream = "0f6d"
go_between = true
password = "{PASSWORD}"
certificates = ["CN=press,O=Longshore", "press.example.org"]
api_key = "{API_KEY.hash}"

[[principals.tokens]]
id = "{TOKEN.id}"
hash = "{TOKEN.hash}"
created = 2026-11-23T08:00:00Z
expires = 2027-11-23T08:00:00Z
"""

LEAST = '[[principals]]\nname = "ada"\nroles = ["viewer"]\n'

ISSUER = """
[[issuers]]
name = "corp"
issuer = "https://id.example.org"
audience = "longshore"
keys = "jwks.json"
role_claim = "roles"
roles = { users = "submitter" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "principals.toml"


def problems(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(InvalidPrincipals) as refused:
        read(file)
    assert str(refused.value).startswith("principals.toml: ")
    return list(refused.value.problems)


def test_a_principal_is_what_the_file_says(file: Path) -> None:
    file.write_text(FULL)
    (configured,) = read(file).principals
    assert configured.principal == Principal(
        name="ada",
        roles=frozenset({Role.SUBMITTER, Role.VIEWER}),
        tenants=("north", "south"),
        grants=Grants(
            (("archive", ANY), ("", "greet"), (ANY, "digest")),
            (
                (ParameterName("archive", "ingest", "data"), frozenset({"sms", "photos"})),
                (ParameterName("", "greet", "name"), frozenset({"you"})),
            ),
        ),
        queues=("longshore.callbacks", "heavy"),
        delivery=Delivery.CHANNEL,
        stream="0f6d",
        go_between=True,
    )
    assert configured.certificates == ("CN=press,O=Longshore", "press.example.org")
    assert (configured.password, configured.api_key) == (PASSWORD, API_KEY.hash)
    assert configured.tokens[0].expires == datetime(2027, 11, 23, 8, tzinfo=UTC)


def test_what_the_file_leaves_out_has_defaults(file: Path) -> None:
    file.write_text(LEAST)
    assert read(file).principals[0].principal == Principal("ada", frozenset({Role.VIEWER}))


def test_an_issuers_file_of_keys_is_found_from_the_folder_of_the_configuration(
    file: Path, tmp_path: Path
) -> None:
    file.write_text(ISSUER)
    (issuer,) = read(file).issuers
    assert issuer.keys == tmp_path / "jwks.json"
    assert issuer.algorithms == ("RS256", "ES256", "EdDSA")
    assert (issuer.subject, issuer.tenants) == ("sub", ("default",))


def test_principals_stand_in_a_configuration_file_among_other_things(file: Path) -> None:
    file.write_text(f'tenant = "x"\n[serve]\nlisten = "[::]:1"\n[queues]\njson = true\n{LEAST}')
    assert [one.name for one in read(file).principals] == ["ada"]


def test_files_that_say_the_same_are_equal(file: Path, tmp_path: Path) -> None:
    file.write_text(FULL + ISSUER)
    other = tmp_path / "other.toml"
    other.write_text("# The same.\n" + FULL + ISSUER)
    assert read(file) == read(other)


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ('["submitter"]', '["root"]', "principals[0].roles[0]: 'root' is no role; there are "),
        ('["submitter"]', "[]", "principals[0].roles: must not be empty"),
        ('["submitter"]', '"submitter"', "principals[0].roles: must be a list"),
        ('roles = ["submitter"]', "", "principals[0].roles: is missing"),
        ('"ada"', '"longshore"', "principals[0].name: 'longshore' is reserved"),
        ('"ada"', '"longshore.x"', "principals[0].name: 'longshore.x' is reserved"),
        ('"ada"', '"anonymous"', "principals[0].name: 'anonymous' is reserved"),
        ('"ada"', '"a:b"', "principals[0].name: 'a:b': a colon is for principals of issuers"),
        ('"ada"', '"a\\nb"', "principals[0].name: must be 1 to 63 printable characters"),
        ('"ada"', f'"{"a" * 64}"', "principals[0].name: must be 1 to 63 printable"),
        ('"ada"', "5", "principals[0].name: must be a string"),
        ('["north", "south"]', "[]", "principals[0].tenants: must not be empty"),
        ('"greet"', '"a/b/c"', "principals[0].actions[1]: 'a/b/c' is no action"),
        ('"greet"', '"/b"', "principals[0].actions[1]: '/b' is no action"),
        ('"/greet/name"', '"greet/name"', "principals[0].values.greet/name: 'greet/name' is"),
        (
            '"channel"',
            '"mail"',
            "principals[0].delivery: 'mail' is no delivery; there are none",
        ),
        ('"CN=press,O=Longshore"', '"CN = press"', "principals[0].certificates[0]: is no subj"),
        ('"press.example.org"', '""', "principals[0].certificates[1]: must not be empty"),
        ("delivery", "colour", "principals[0].colour: unknown key; known are tenants, "),
        ("created", "made", "principals[0].tokens[0].made: unknown key; known are id, hash, "),
        (TOKEN.id, "short", "principals[0].tokens[0].id: must be 10 characters"),
        ("08:00:00Z\nexp", "08:00:00\nexp", "principals[0].tokens[0].created: needs a time z"),
        ("true", '"yes"', "principals[0].go_between: must be true or false"),
        ("2026-11-23T08:00:00Z", '"now"', "principals[0].tokens[0].created: must be a time"),
    ],
    ids=count(),  # What is made anew with each run is no name of a test.
)
def test_what_is_wrong_of_a_principal_is_named(
    file: Path, old: str, new: str, problem: str
) -> None:
    assert any(one.startswith(problem) for one in problems(file, FULL.replace(old, new)))


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ('"jwks.json"', '"http://example.org/keys"', "issuers[0].keys: must be an https URL"),
        ('"jwks.json"', '"file:///etc/keys"', "issuers[0].keys: must be an https URL"),
        ('"jwks.json"', '"https://[/keys"', "issuers[0].keys: must be an https URL"),
        ('"jwks.json"', '"https://a:b@c.org/"', "issuers[0].keys: must be an https URL"),
        ('"jwks.json"', '""', "issuers[0].keys: must not be empty"),
        ('"submitter"', '"root"', "issuers[0].roles.users: 'root' is no role"),
        ('{ users = "submitter" }', "{}", "issuers[0].roles: must not be empty"),
        ("audience", "audiance", "issuers[0].audience: is missing"),
        ("keys =", 'algorithms = ["HS256"]\nkeys =', "issuers[0].algorithms[0]: must be 'RS"),
        (
            "keys =",
            'algorithms = ["none"]\nkeys =',
            "issuers[0].algorithms[0]: must be 'RS256'",
        ),
        ("keys =", 'queue = "x"\nkeys =', "issuers[0].queue: unknown key; known are tenants"),
    ],
)
def test_what_is_wrong_of_an_issuer_is_named(
    file: Path, old: str, new: str, problem: str
) -> None:
    assert any(one.startswith(problem) for one in problems(file, ISSUER.replace(old, new)))


@pytest.mark.parametrize("url", ["https://id.example.org/keys", "http://127.0.0.1:80/keys"])
def test_keys_are_fetched_by_tls_or_from_this_machine(file: Path, url: str) -> None:
    file.write_text(ISSUER.replace("jwks.json", url))
    assert read(file).issuers[0].keys == url


@pytest.mark.parametrize(
    "text, problem",
    [
        (LEAST + LEAST, "principals: name 'ada' is there 2 times"),
        (FULL + FULL.replace('"ada"', '"bob"'), f"tokens: id '{TOKEN.id}' is there 2 times"),
        (FULL + FULL.replace('"ada"', '"bob"'), "principals: certificates 'CN=press,O=Longsho"),
        (FULL + FULL.replace('"ada"', '"bob"'), "principals: stream '0f6d' is there 2 times"),
        (
            LEAST + LEAST.replace("ada", "bob") + 'stream = "ada"',
            "principals: stream 'ada' is there 2 times",
        ),
        (ISSUER + ISSUER, "issuers: name 'corp' is there 2 times"),
        (ISSUER + ISSUER.replace("corp", "b"), "issuers: issuer and audience 'https://id.exam"),
    ],
    ids=count(),  # What is made anew with each run is no name of a test.
)
def test_what_must_be_unique_is_not_there_twice(file: Path, text: str, problem: str) -> None:
    assert problem in "; ".join(problems(file, text))


@pytest.mark.parametrize(
    "text, problem",
    [
        (
            '[[principal]]\nname = "ada"',
            "principal: unknown key; known are principals, issuers",
        ),
        ('[[friends]]\nname = "ada"', "friends: unknown key; known are principals, issuers"),
        (
            'name = "ada"\nroles = ["viewer"]',
            "name: unknown key; known are principals, issuers",
        ),
        ('[principals]\nname = "ada"', "principals: must be a list"),
        ("principals = [5]", "principals[0]: must be a table"),
    ],
)
def test_what_is_in_the_wrong_place_is_not_lost_silently(
    file: Path, text: str, problem: str
) -> None:
    assert problem in problems(file, text)


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    text = FULL.replace('"channel"', '"mail"').replace('"submitter"', '"root"')
    assert len(problems(file, text)) == 2


def test_a_file_that_cannot_be_read_says_why(file: Path) -> None:
    with pytest.raises(InvalidPrincipals, match="cannot be read: No such file"):
        read(file)
    assert problems(file, "[[principals")[0].startswith("is no TOML: ")
    file.write_bytes(b'name = "\xff"')
    with pytest.raises(InvalidPrincipals, match="is not UTF-8"):
        read(file)


@pytest.mark.parametrize("key", ["password", "api_key", "hash"])
def test_a_secret_that_stands_there_as_it_is_appears_nowhere(file: Path, key: str) -> None:
    secret = {"password": PASSWORD, "api_key": API_KEY.hash, "hash": TOKEN.hash}[key]
    (problem,) = problems(file, FULL.replace(secret, "swordfish"))
    assert f"{key}: must be a hash" in problem
    assert "swordfish" not in problem


def test_hashes_are_not_in_what_a_configuration_shows_of_itself(file: Path) -> None:
    file.write_text(FULL)
    assert not any(
        secret in repr(read(file)) for secret in (PASSWORD, API_KEY.hash, TOKEN.hash)
    )
