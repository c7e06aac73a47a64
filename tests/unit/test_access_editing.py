"""The file of principals, edited: what is written is what a server reads, or nothing is."""

from __future__ import annotations

import os
import stat
import threading
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from longshore.access import editing
from longshore.access.configuration import read
from longshore.access.editing import (
    CannotEdit,
    Entry,
    PrincipalExists,
    UnknownPrincipal,
    UnknownToken,
)
from longshore.access.errors import InvalidPrincipals
from longshore.access.passwords import PasswordChecks
from longshore.access.tokens import matches, parts

ADA = Entry(name="ada", roles=["submitter"])
PRESS = Entry(
    name="press",
    roles=["worker", "viewer"],
    tenants=["north", "*"],
    actions=["archive/*", "greet"],
    queues=["longshore.callbacks"],
    values={"archive/ingest/data": ["sms", "photos"], "/greet/name": ["Ada"]},
    delivery="channel",
    stream="0f6d",
    go_between=True,
    certificates=["CN=press,O=Longshore", "press.example.org"],
)

EDITS: list[Callable[[Path, str], object]] = [
    editing.remove,
    editing.add_token,
    lambda file, name: editing.set_password(file, name, "ahoy"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "principals.toml"


def row(file: Path, name: str) -> dict[str, Any]:
    said: list[dict[str, Any]] = tomllib.loads(file.read_text())["principals"]
    (found,) = [one for one in said if one["name"] == name]
    return found


def names(file: Path) -> list[str]:
    return [one["name"] for one in tomllib.loads(file.read_text())["principals"]]


def test_a_new_principal_gets_a_token_of_which_the_file_has_the_hash_only(file: Path) -> None:
    token, api_key = editing.add(file, ADA)
    assert token is not None
    assert api_key is None
    said = parts(token.secret_text)
    assert said is not None
    (kept,) = row(file, "ada")["tokens"]
    assert kept["id"] == said.id == token.id
    assert matches(said.secret, kept["hash"])
    assert datetime.now(UTC) - kept["created"] < timedelta(minutes=1)
    assert "expires" not in kept
    assert said.secret not in file.read_text()


def test_all_that_is_said_of_a_principal_stands_in_the_file_as_a_server_reads_it(
    file: Path,
) -> None:
    editing.add(file, PRESS, with_token=False)
    assert row(file, "press") == {
        "name": "press",
        "roles": ["worker", "viewer"],
        "tenants": ["north", "*"],
        "actions": ["archive/*", "greet"],
        "queues": ["longshore.callbacks"],
        "values": {"archive/ingest/data": ["sms", "photos"], "/greet/name": ["Ada"]},
        "delivery": "channel",
        "stream": "0f6d",
        "go_between": True,
        "certificates": ["CN=press,O=Longshore", "press.example.org"],
    }
    read(file)


async def test_a_password_and_an_api_key_are_kept_as_hashes(file: Path) -> None:
    _, api_key = editing.add(file, ADA, password="ahoy", with_api_key=True, with_token=False)
    assert api_key is not None
    kept = row(file, "ada")
    assert await PasswordChecks().matches("ahoy", kept["password"])
    assert matches(api_key, kept["api_key"])
    assert "tokens" not in kept
    assert "ahoy" not in file.read_text()
    assert api_key not in file.read_text()


def test_a_token_may_expire(file: Path) -> None:
    expires = datetime(2030, 1, 1, 12, tzinfo=UTC)
    editing.add(file, ADA, expires=expires)
    editing.add_token(file, "ada", expires + timedelta(days=1))
    assert [one["expires"].day for one in row(file, "ada")["tokens"]] == [1, 2]


def test_a_file_that_is_made_is_for_its_owner_only(file: Path) -> None:
    editing.add(file, ADA)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_there_keeps_what_its_group_may_and_nobody_else_reads_it(
    file: Path,
) -> None:
    file.touch()
    file.chmod(0o664)
    editing.add(file, ADA)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_link_stays_one(tmp_path: Path, file: Path) -> None:
    editing.add(file, ADA)
    link = tmp_path / "link.toml"
    link.symlink_to(file.name)
    editing.add(link, PRESS)
    assert link.is_symlink()
    assert names(file) == ["ada", "press"]


def test_comments_order_and_other_tables_stay(file: Path) -> None:
    before = """\
# Everything of the north office.
[serve]
listen = "127.0.0.1:0"  # not yet public

# Ada, who sits there.
[[principals]]
roles = ["submitter"]  # for now
name = "ada"

# The corporation.
[[issuers]]
name = "corp"
issuer = "https://id.example.org"
audience = "longshore"
keys = "keys.json"
role_claim = "groups"
roles = {users = "submitter"}
"""
    file.write_text(before)
    (file.parent / "keys.json").write_text('{"keys": []}')
    editing.add(file, PRESS)
    editing.set_password(file, "ada", "ahoy")
    token = editing.add_token(file, "ada")
    assert [line for line in file.read_text().splitlines() if line in before.splitlines()]
    assert names(file) == ["ada", "press"]
    editing.revoke(file, token.id)
    editing.remove(file, "press")
    after = [line for line in file.read_text().splitlines() if "password" not in line]
    assert after == before.splitlines()


def test_a_name_is_taken_once(file: Path) -> None:
    editing.add(file, ADA)
    before = file.read_bytes()
    with pytest.raises(PrincipalExists, match="has a principal 'ada' already"):
        editing.add(file, ADA)
    assert file.read_bytes() == before


@pytest.mark.parametrize("edit", EDITS)
def test_a_principal_that_is_not_there_is_named_with_those_that_are_alike(
    file: Path, edit: Callable[[Path, str], object]
) -> None:
    editing.add(file, ADA)
    editing.add(file, PRESS)
    with pytest.raises(UnknownPrincipal, match="no principal 'adda'; do you mean 'ada'"):
        edit(file, "adda")


def test_a_token_is_revoked_by_its_id_and_as_a_whole(file: Path) -> None:
    first = editing.add(file, ADA).token
    assert first is not None
    second = editing.add_token(file, "ada")
    assert editing.revoke(file, first.id) == "ada"
    assert [one["id"] for one in row(file, "ada")["tokens"]] == [second.id]
    assert editing.revoke(file, second.secret_text) == "ada"
    assert "tokens" not in row(file, "ada")


def test_a_token_that_is_not_there_is_named_without_its_secret(file: Path) -> None:
    token = editing.add(file, ADA).token
    assert token is not None
    editing.revoke(file, token.id)
    with pytest.raises(UnknownToken) as caught:
        editing.revoke(file, token.secret_text)
    assert str(caught.value) == f"principals.toml has no token '{token.id}'"


def test_a_principal_goes_with_all_that_it_had(file: Path) -> None:
    editing.add(file, ADA)
    editing.add(file, PRESS)
    editing.remove(file, "ada")
    assert names(file) == ["press"]
    editing.remove(file, "press")
    assert "principals" not in tomllib.loads(file.read_text())


@pytest.mark.parametrize(
    "wrong",
    [
        Entry(name="longshore", roles=["viewer"]),
        Entry(name="b", roles=["root"]),
        Entry(name="b", roles=[]),
        Entry(name="b", roles=["viewer"], actions=["a/b/c"]),
        Entry(name="b", roles=["viewer"], values={"greet": ["Ada"]}),
        Entry(name="b", roles=["viewer"], delivery="pigeon"),
    ],
)
def test_nothing_is_written_that_a_server_would_refuse(file: Path, wrong: Entry) -> None:
    editing.add(file, ADA)
    before = file.read_bytes()
    with pytest.raises(InvalidPrincipals, match=r"^principals\.toml: principals\[1\]"):
        editing.add(file, wrong)
    assert file.read_bytes() == before
    assert sorted(one.name for one in file.parent.iterdir()) == [
        "principals.toml",
        "principals.toml.lock",
    ]


@pytest.mark.parametrize(
    "text", ["[[principals", "principals = 3", '[[principals]]\nname = "ada"\n', "\xff"]
)
def test_a_file_that_is_wrong_already_is_left_as_it_is(file: Path, text: str) -> None:
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidPrincipals, match=r"principals\.toml"):
        editing.add(file, PRESS)
    assert file.read_bytes() == text.encode("latin-1")


def test_a_file_that_is_not_there_is_made_by_the_first_principal_only(file: Path) -> None:
    for edit in (editing.remove, editing.add_token, editing.revoke):
        with pytest.raises((InvalidPrincipals, CannotEdit)):
            edit(file, "ada")
    assert not file.exists()


def test_those_who_edit_at_once_lose_nothing(file: Path) -> None:
    def add(number: int) -> None:
        editing.add(file, Entry(name=f"p{number}", roles=["viewer"]))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(names(file)) == [f"p{number}" for number in range(8)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(file: Path) -> None:
    file.touch()
    os.chown(file, 12345, 12346)
    editing.add(file, ADA)
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12346)
