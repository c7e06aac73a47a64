"""The demonstration's actions, on real files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import bagit  # type: ignore[import-untyped]
import pytest

from longshore.cli.documents import read_documents
from longshore.demo import worker
from longshore.demo.archive import bag, check_names, digest, identify, scan, verify
from longshore.demo.folders import Cancelled
from longshore.v1.catalog_service_pb2 import Contract
from longshore.v1.operation_pb2 import LogEntry, LogKind, Progress, PropertySet, ServiceKind
from longshore.worker import Context, PermanentError, Saved
from longshore.worker.context import Facts
from longshore.worker.words import Word

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(64)


class Listener:
    """Hears what an action says, and does something about it if told so."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self.cancelled = False
        self.react: Callable[[], None] = lambda: None

    def say(self, word: Word) -> None:
        self.words.append(word)
        self.react()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Say nothing between: the end of the action says the last."""

    def save(self, path: str, source: object, content_type: str) -> Saved:
        raise AssertionError(f"nothing is to be saved, and {path!r} is")

    def context(self, operation_id: str = "operation-1") -> Context:
        return Context(Facts(operation_id, "test", 1, 0, "default", ""), self)

    def said(self, kind: LogKind.ValueType) -> list[str]:
        entries = [word for word in self.words if isinstance(word, LogEntry)]
        return [entry.message for entry in entries if entry.kind == kind]

    @property
    def warnings(self) -> list[str]:
        return self.said(LogKind.LOG_KIND_WARNING)

    @property
    def errors(self) -> list[str]:
        return self.said(LogKind.LOG_KIND_ERROR)

    @property
    def properties(self) -> dict[str, str]:
        return {word.name: word.value for word in self.words if isinstance(word, PropertySet)}

    @property
    def progress(self) -> Progress:
        return [word for word in self.words if isinstance(word, Progress)][-1]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files of text, a picture, a link, and a file in a name of no Unicode."""
    root = tmp_path / "input"
    (root / "texts").mkdir(parents=True)
    (root / "texts" / "a.txt").write_text("Ahoy\n")
    (root / "texts" / "b").write_text("no name, no format\n")
    (root / "picture.png").write_bytes(PNG)
    (root / "empty").touch()
    (root / "away").symlink_to("/")
    return root


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in sorted(root.rglob("*")) if one.is_file()}


def test_the_worker_offers_its_actions_as_service_archive() -> None:
    service = worker.services["archive"].to_message()
    offered = {"scan", "digest", "digest-file", "identify", "inventory", "bag"}
    assert {one.slug for one in service.actions} == offered
    algorithm = next(one for one in service.actions if one.slug == "digest").parameters[1]
    assert (algorithm.slug, algorithm.optional) == ("algorithm", True)
    assert "sha256" in algorithm.values
    assert all(one.description for one in service.actions)


def test_the_worker_offers_two_services_to_launch() -> None:
    hello = worker.hello()
    assert {one.slug: one.kind for one in hello.services} == {
        "archive": ServiceKind.SERVICE_KIND_UNSPECIFIED,
        "verify-bag": ServiceKind.SERVICE_KIND_OPERATION,
        "naming-rules": ServiceKind.SERVICE_KIND_RULESET,
    }
    assert list(hello.queues) == ["default", "operations", "rulesets"]
    assert all(one.description for one in hello.services if one.slug != "archive")
    parameters = {one.slug: one for one in hello.services[2].actions[0].parameters}
    assert (parameters["folder"].name, parameters["rules"].name) == ("Folder", "Rules")
    assert "reserved" in parameters["rules"].values


def test_the_contract_calls_what_the_worker_offers_with_what_it_needs() -> None:
    with (files("longshore.demo") / "archive.yaml").open(encoding="utf-8") as file:
        (document,) = read_documents([file], Contract)
    (ingest,) = document.message.actions
    assert (document.message.name, ingest.name) == ("archive", "ingest")
    offered = {one.slug: one for one in worker.services["archive"].to_message().actions}
    calls = ingest.template.actions
    assert [one.action for one in calls] == ["scan", "digest", "identify", "bag"]
    for call in calls:
        known = {one.slug: one.optional for one in offered[call.action].parameters}
        given = {*call.arguments, *call.argument_paths}
        assert given <= known.keys()
        assert {slug for slug, optional in known.items() if not optional} <= given


def test_a_scan_counts_and_lists(folder: Path, listener: Listener) -> None:
    found = scan(str(folder), listener.context())
    assert found == {
        "root": str(folder),
        "files": 4,
        "folders": 1,
        "links": 1,
        "bytes": 5 + 19 + len(PNG),
        "listing": [
            {"path": "empty", "size": 0},
            {"path": "picture.png", "size": len(PNG)},
            {"path": "texts/a.txt", "size": 5},
            {"path": "texts/b", "size": 19},
        ],
        "truncated": False,
        "skipped": 0,
    }


def test_a_scan_of_many_files_lists_the_first_thousand(
    tmp_path: Path, listener: Listener
) -> None:
    for number in range(1_001):
        (tmp_path / f"{number:04}").touch()
    found = scan(str(tmp_path), listener.context())
    assert (found["files"], len(found["listing"]), found["truncated"]) == (1_001, 1_000, True)


def test_a_scan_of_a_file_is_one_file(folder: Path, listener: Listener) -> None:
    found = scan(str(folder / "texts" / "a.txt"), listener.context())
    assert (found["files"], found["listing"]) == (1, [{"path": "a.txt", "size": 5}])


def test_a_name_that_is_no_unicode_is_shown_with_question_marks(
    tmp_path: Path, listener: Listener
) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).touch()
    found = scan(str(tmp_path), listener.context())
    assert found["listing"] == [{"path": "caf�", "size": 0}]


@pytest.mark.parametrize("action", [scan, digest, identify])
def test_a_missing_path_fails_for_good(
    action: Callable[[str, Context], Any], tmp_path: Path, listener: Listener
) -> None:
    with pytest.raises(PermanentError, match="there is no file or folder") as raised:
        action(str(tmp_path / "missing"), listener.context())
    assert raised.value.code.name == "NOT_FOUND"


@pytest.mark.parametrize("path", ["", "a\0b", "/dev/null"])
def test_what_is_no_path_to_a_file_or_folder_fails_for_good(
    path: str, listener: Listener
) -> None:
    with pytest.raises(PermanentError):
        scan(path, listener.context())


def test_a_digest_is_that_of_the_bytes_and_of_all_lines(
    folder: Path, listener: Listener
) -> None:
    found = digest(str(folder / "texts"), listener.context())
    lines = "".join(
        f"{hashlib.sha256((folder / 'texts' / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("a.txt", "b")
    )
    assert found["digests"][0] == {
        "path": "a.txt",
        "size": 5,
        "digest": hashlib.sha256(b"Ahoy\n").hexdigest(),
    }
    assert found["overall"] == hashlib.sha256(lines.encode()).hexdigest()
    assert (found["files"], found["bytes"], found["algorithm"]) == (2, 24, "sha256")


def test_a_digest_tells_its_progress_in_bytes(folder: Path, listener: Listener) -> None:
    context = listener.context()
    digest(str(folder), context, "md5")
    context.close()
    size = 24 + len(PNG)
    told = listener.progress
    assert (told.done, told.total, told.unit, told.message) == (size, size, "bytes", "texts/b")


def test_cancelled_work_ends(folder: Path, listener: Listener) -> None:
    listener.cancelled = True
    for action in (scan, digest, identify):
        with pytest.raises(Cancelled):
            action(str(folder), listener.context())


def test_files_that_cannot_be_read_are_warned_of(folder: Path, listener: Listener) -> None:
    gone = folder / "gone"
    gone.write_text("found, but not read")
    (folder / "before").write_text("read first")
    listener.react = lambda: gone.unlink(missing_ok=True)
    found = digest(str(folder), listener.context())
    assert (found["skipped"], found["files"]) == (1, 5)
    assert listener.warnings == [f"left out {gone}: No such file or directory"]


def test_formats_are_named_and_counted(folder: Path, listener: Listener) -> None:
    found = identify(str(folder), listener.context())
    assert found["files"] == 4
    formats = {one["name"]: one for one in found["formats"]}
    assert formats["Plain text"]["files"] == 1
    assert formats["Empty file"]["files"] == 1
    assert any(one["mime_type"] == "image/png" for one in found["formats"])


def test_a_bag_is_valid_and_its_source_untouched(
    folder: Path, tmp_path: Path, listener: Listener
) -> None:
    before = snapshot(folder)
    target = tmp_path / "bags" / "one"
    made = bag(str(folder), str(target), listener.context())
    assert made == {
        "path": str(target),
        "bytes": 24 + len(PNG),
        "files": 4,
        "valid": True,
        "skipped": 0,
    }
    bagit.Bag(str(target)).validate()
    assert (target / "data" / "texts" / "a.txt").read_text() == "Ahoy\n"
    assert snapshot(folder) == before
    assert list(target.parent.iterdir()) == [target]


def test_a_bag_of_one_file(folder: Path, tmp_path: Path, listener: Listener) -> None:
    made = bag(str(folder / "picture.png"), str(tmp_path / "one"), listener.context())
    assert (made["files"], made["valid"]) == (1, True)


def test_there_is_no_bag_of_nothing(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PermanentError, match="no file to pack"):
        bag(str(tmp_path / "nothing"), str(tmp_path / "bag"), listener.context())


def test_a_bag_takes_no_place_that_is_taken(
    folder: Path, tmp_path: Path, listener: Listener
) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    made = bag(str(folder), str(target), listener.context())
    assert made["valid"]
    with pytest.raises(PermanentError, match="exists and is not empty"):
        bag(str(folder), str(target), listener.context("operation-2"))
    assert bag(str(folder), str(target), listener.context()) == made  # its own, of an attempt


def test_a_bag_is_not_made_inside_of_its_source(folder: Path, listener: Listener) -> None:
    with pytest.raises(PermanentError, match="lies inside"):
        bag(str(folder), str(folder / "bag"), listener.context())


def test_a_cancelled_bag_leaves_nothing_behind(
    folder: Path, tmp_path: Path, listener: Listener
) -> None:
    listener.cancelled = True
    with pytest.raises(Cancelled):
        bag(str(folder), str(tmp_path / "bag"), listener.context())
    assert list(tmp_path.iterdir()) == [folder]


def test_a_tampered_bag_is_told_from_a_valid_one(
    folder: Path, tmp_path: Path, listener: Listener
) -> None:
    target = tmp_path / "bag"
    bag(str(folder), str(target), listener.context())
    (target / "data" / "empty").write_text("no longer")
    assert not bag(str(folder), str(target), listener.context())["valid"]


def test_results_of_one_action_are_arguments_of_the_next(
    folder: Path, tmp_path: Path, listener: Listener
) -> None:
    scanned = scan(str(folder), listener.context())
    digested = digest(scanned["root"], listener.context())
    packed = bag(digested["root"], str(tmp_path / "bag"), listener.context())
    shutil.rmtree(folder)
    assert scan(packed["path"], listener.context())["files"] > scanned["files"]


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    """A bag of the folder."""
    target = tmp_path / "bag"
    bag(str(folder), str(target), Listener().context())
    return target


def test_a_bag_that_is_what_was_packed_passes(packed: Path, listener: Listener) -> None:
    verified = verify(str(packed), listener.context())
    sizes = [one.stat().st_size for one in packed.rglob("*") if one.is_file()]
    tagged = (packed / "tagmanifest-sha256.txt").stat().st_size  # listed nowhere
    assert verified == {
        "path": str(packed),
        "files": len(sizes) - 1,
        "bytes": sum(sizes) - tagged,
    }
    assert not listener.errors
    assert set(listener.properties.values()) == {"0"}


def test_a_verification_tells_its_progress_in_bytes(packed: Path, listener: Listener) -> None:
    context = listener.context()
    verified = verify(str(packed), context)
    context.close()
    told = listener.progress
    assert (told.done, told.total, told.unit) == (
        verified["bytes"],
        verified["bytes"],
        "bytes",
    )


def test_every_fault_of_a_bag_is_named_and_counted(packed: Path, listener: Listener) -> None:
    (packed / "data" / "texts" / "a.txt").write_text("Ahoj\n")
    (packed / "data" / "picture.png").unlink()
    (packed / "data" / "stowaway").touch()
    (packed / "bag-info.txt").write_text("Payload-Oxum: 1.1\n")
    with pytest.raises(PermanentError, match="2 changed") as raised:
        verify(str(packed), listener.context())
    assert raised.value.code.name == "DATA_LOSS"
    assert sorted(listener.errors) == [
        "changed: bag-info.txt",
        "changed: data/texts/a.txt",
        "missing: data/picture.png",
        "unexpected: data/stowaway",
    ]
    assert listener.properties == {
        "changed": "2",
        "missing": "1",
        "unexpected": "1",
        "unreadable": "0",
    }


def test_files_that_vanish_while_a_bag_is_read_are_unreadable(
    packed: Path, listener: Listener
) -> None:
    def vanish() -> None:
        if any(isinstance(word, Progress) for word in listener.words):
            shutil.rmtree(packed / "data", ignore_errors=True)

    listener.react = vanish
    with pytest.raises(PermanentError, match="2 unreadable"):
        verify(str(packed), listener.context())
    assert listener.errors == ["unreadable: data/texts/a.txt", "unreadable: data/texts/b"]


@pytest.mark.parametrize("content", ["", "BagIt-Version: 1.0\n", "\xff"])
def test_what_is_no_bag_is_not_verified(
    content: str, tmp_path: Path, listener: Listener
) -> None:
    (tmp_path / "bagit.txt").write_text(content)
    with pytest.raises(PermanentError, match="is no bag"):
        verify(str(tmp_path), listener.context())


def test_a_bag_without_manifest_is_none(packed: Path, listener: Listener) -> None:
    (packed / "manifest-sha256.txt").unlink()
    with pytest.raises(PermanentError, match="it has no manifest"):
        verify(str(packed), listener.context())


def test_cancelled_launches_end(packed: Path, listener: Listener) -> None:
    listener.cancelled = True
    for service in (verify, check_names):
        with pytest.raises(Cancelled):
            service(str(packed), listener.context())


def test_names_that_all_systems_keep_pass(folder: Path, listener: Listener) -> None:
    checked = check_names(str(folder), listener.context())
    assert checked == {
        "root": str(folder),
        "names": 6,
        "findings": 0,
        "rules": dict.fromkeys(
            ("characters", "reserved", "length", "path", "unicode", "twins"), 0
        ),
        "skipped": 0,
    }
    assert not listener.warnings
    assert listener.said(LogKind.LOG_KIND_OUTPUT) == ["6 names, 0 findings"]


@pytest.mark.parametrize(
    "rule, names",
    [
        ("characters", ["what?", "ends.", " begins", "a\nb"]),
        ("reserved", ["aux.txt", "CON"]),
        ("unicode", ["cafe\u0301", os.fsdecode(b"caf\xe9")]),
        ("twins", ["Read.me", "read.ME", "Caf\u00e9", "CAF\u00c9"]),
    ],
)
def test_names_that_some_systems_would_not_keep_are_warned_of(
    rule: str, names: list[str], tmp_path: Path, listener: Listener
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    for name in names:
        (below / name).touch()
    checked = check_names(str(tmp_path), listener.context())
    expected = len(names) // 2 if rule == "twins" else len(names)
    assert {name: count for name, count in checked["rules"].items() if count} == {
        rule: expected
    }
    assert len(listener.warnings) == checked["findings"] == expected
    assert all(one.startswith(f"{rule}: 'below/") for one in listener.warnings)
    assert listener.properties[rule] == str(expected)


def test_folders_and_links_have_names_too(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "nul" / "prn").mkdir(parents=True)
    (tmp_path / "com1").symlink_to("/")
    checked = check_names(str(tmp_path), listener.context())
    assert (checked["names"], checked["rules"]["reserved"]) == (3, 3)


def test_paths_are_as_long_as_is_said(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "def").touch()
    assert not check_names(str(tmp_path), listener.context(), longest_path=7)["findings"]
    checked = check_names(str(tmp_path), listener.context(), longest_path=6)
    assert (checked["findings"], checked["rules"]["path"]) == (1, 1)


def test_only_the_rules_that_are_named_are_checked(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "aux").touch()
    checked = check_names(str(tmp_path), listener.context(), rules=("twins", "length"))
    assert checked["rules"] == {"twins": 0, "length": 0}
    assert set(listener.properties) == {"twins", "length"}


def test_a_file_has_no_names_below_it(folder: Path, listener: Listener) -> None:
    with pytest.raises(PermanentError, match="is no folder"):
        check_names(str(folder / "empty"), listener.context())
