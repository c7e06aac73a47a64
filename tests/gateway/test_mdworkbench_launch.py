from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import AsyncGenerator, Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from longshore.gateway.mdworkbench import logs
from longshore.v1.operation_pb2 import LogEntry, LogKind
from longshore.worker.failures import failure_of
from tests.gateway.workbench import ADMIN, workbench

TIME = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
DURATION = re.compile(r"PT(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:\.[0-9]{1,3})?S)?")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def refused(answer: Any, status: int, message: str) -> None:
    """Check an error as a whole."""
    assert (answer.status_code, answer.json()) == (
        status,
        {"status": status, "message": message},
    )
    assert answer.headers["content-type"] == "application/json"


async def test_a_launch_is_created_with_200_and_where_it_is(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        answer = await here.ask(
            "POST", "/launch", params={"id": "naming"}, files={"folder": (None, "a")}
        )
        assert (answer.status_code, answer.content) == (200, b"")
        location = answer.headers["content-location"]
        assert location.startswith(f"{here.base}/launch/")
        assert UUID.fullmatch(location.rpartition("/")[2])
        assert set(answer.headers) == {
            "content-location",
            "content-length",
            "date",
            "x-request-id",
        }


async def test_a_launch_that_has_ended_is_shown_in_full(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        location = await here.launch(folder="full", depth="5", pin="0000")
        launch_id = location.rpartition("/")[2]
        shown = await here.ended(location)
        files = {one["path"]: one["uri"] for one in shown["result"]["files"]}
        entries = shown["logEntries"]
        for moment in (
            *(shown[name] for name in ("requestTime", "startTime", "endTime")),
            *(one["time"] for one in entries),
        ):
            assert TIME.fullmatch(moment)
        for span in (shown["duration"], *(one["duration"] for one in entries)):
            assert DURATION.fullmatch(span)
        assert shown["requestTime"] <= shown["startTime"] <= shown["endTime"]
        assert shown == {
            "id": launch_id,
            "uri": location,
            "service": "naming",
            "state": "completed",
            "requestNumber": 1,
            "requestTime": shown["requestTime"],
            "startTime": shown["startTime"],
            "endTime": shown["endTime"],
            "duration": shown["duration"],
            "arguments": [{"name": "depth", "value": "5"}, {"name": "folder", "value": "full"}],
            "status": [{"name": "bad", "value": "0"}, {"name": "checked", "value": "7"}],
            "logEntries": [
                {"kind": "progress", "message": "checked full"} | _when(entries[0]),
                {"kind": "output", "message": "all is well\x1b[0m"} | _when(entries[1]),
            ],
            "result": {
                "uri": f"{location}/files",
                "files": [
                    {"path": path, "uri": files[path]}
                    for path in ("report/names.txt", "list.csv")
                ],
            },
        }


def _when(entry: dict[str, Any]) -> dict[str, Any]:
    return {"time": entry["time"], "duration": entry["duration"]}


async def test_what_does_not_exist_yet_is_left_out(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        await here.suspend()
        location = await here.launch()
        waiting = (await here.ask("GET", location)).json()
        assert waiting["state"] == "waiting"
        assert waiting["status"] == waiting["logEntries"] == []
        assert not {"startTime", "endTime", "duration", "result"} & set(waiting)
        await here.ask("DELETE", location)
        canceled = (await here.ask("GET", location)).json()
        assert canceled["state"] == "canceled"
        assert TIME.fullmatch(canceled["endTime"])
        assert not {"startTime", "duration", "result"} & set(canceled)


async def test_a_running_launch_has_a_start_and_a_duration(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await here.launch()
        await here.running(location)
        shown = (await here.ask("GET", location)).json()
        assert shown["state"] == "running"
        assert TIME.fullmatch(shown["startTime"])
        assert DURATION.fullmatch(shown["duration"])
        assert "endTime" not in shown


async def test_a_launch_that_failed_ends_its_log_with_the_reason(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        shown = await here.ended(await here.launch(folder="bad"))
        assert shown["state"] == "failed"
        assert [(one["kind"], one["message"]) for one in shown["logEntries"]] == [
            ("warning", "that looks bad"),
            ("error", "the folder is bad"),
        ]
        assert shown["logEntries"][1]["time"] == shown["endTime"]
        assert "result" not in shown


async def test_an_unforeseen_exception_is_logged_without_its_stack(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        location = await here.launch(folder="unforeseen")
        entries: list[Any] = []
        async with asyncio.timeout(20):
            while not entries:
                entries = (await here.ask("GET", location)).json()["logEntries"]
        assert (entries[0]["kind"], entries[0]["message"]) == (
            "error",
            "ValueError: no such rule",
        )


def _deep(depth: int) -> None:
    if not depth:
        raise ValueError("no such rule\n  of many lines")
    _deeper(depth)


def _deeper(depth: int) -> None:
    _deep(depth - 1)


def _caused() -> None:
    try:
        _deep(0)
    except ValueError as error:
        raise RuntimeError("stopped") from error


def _several() -> None:
    try:
        _deep(0)
    except ValueError as error:
        raise ExceptionGroup("several", [error, KeyError("x")]) from error


@pytest.mark.parametrize(
    "work, message",
    [
        (partial(_deep, 0), "ValueError: no such rule\n  of many lines"),
        (partial(_deep, 200), "ValueError: no such rule\n  of many lines"),
        (_caused, "RuntimeError: stopped"),
        (_several, "ExceptionGroup: several (2 sub-exceptions)"),
        (partial(compile, "a b", "/home/rule.py", "exec"), "SyntaxError: invalid syntax"),
    ],
)
def test_of_a_traceback_nothing_but_the_exception_is_shown(
    work: Callable[[], None], message: str
) -> None:
    trace = ""
    try:
        work()
    except Exception as error:  # noqa: BLE001
        trace = failure_of(error, "act").trace
    assert __file__ in trace
    entry = LogEntry(kind=LogKind.LOG_KIND_ERROR, message=trace)
    assert logs.without_stack(entry).message == message


@pytest.mark.parametrize(
    "message", ["the folder is bad", 'File "a.rule", line 3, in words', "", "a\n  b\nc"]
)
def test_what_the_work_says_itself_is_shown_as_it_is(message: str) -> None:
    entry = LogEntry(kind=LogKind.LOG_KIND_ERROR, message=message)
    assert logs.without_stack(entry) == entry


async def test_a_very_long_log_is_cut_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_SHOWN_BYTES", 40)
    async with workbench(tmp_path) as here:
        here.open.set()
        shown = await here.ended(await here.launch(folder="x" * 50))
        assert [(one["kind"], one["message"]) for one in shown["logEntries"]] == [
            ("progress", f"checked {'x' * 50}"),
            ("warning", "the log goes on; it is not shown"),
        ]


async def test_a_launch_in_xml_says_what_it_says_in_json(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        location = await here.launch(folder="full")
        shown = await here.ended(location)
        answer = await here.ask("GET", location, headers={"accept": "text/xml"})
        assert answer.headers["content-type"] == "application/xml"
        launch = ET.fromstring(answer.content)
        assert launch.tag == "launch"
        assert launch.attrib == {
            name: str(value)
            for name, value in shown.items()
            if not isinstance(value, list | dict)
        }
        assert _items(launch, "arguments/argument") == shown["arguments"]
        assert _items(launch, "status/property") == shown["status"]
        # What XML cannot hold is replaced.
        assert [one["message"] for one in _items(launch, "logEntries/logEntry")] == [
            "checked full",
            "all is well\ufffd[0m",
        ]
        assert launch.find("result").attrib == {"uri": shown["result"]["uri"]}  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
        assert _items(launch, "result/files/file") == shown["result"]["files"]


def _items(element: ET.Element, path: str) -> list[dict[str, str]]:
    return [one.attrib for one in element.findall(path)]


async def test_the_result_is_fetched_as_files_and_as_a_zip(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        result = (await here.ended(await here.launch(folder="full")))["result"]
        zipped = await here.ask("GET", result["uri"])
        assert zipped.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(BytesIO(zipped.content)) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == {
                "report/names.txt": b"seven names",
                "list.csv": b"a,b\n",
            }
        first = await here.ask("GET", result["files"][0]["uri"])
        assert first.content == b"seven names"
        assert first.headers["content-type"] == "text/plain"
        assert first.headers["content-length"] == "11"
        assert first.headers["content-expiration"] == "-1"


async def test_files_of_a_launch_that_made_none_are_404(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await here.launch()
        answer = await here.ask("GET", f"{location}/files")
        assert answer.status_code == 404


async def test_only_whole_ids_name_launches(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await here.launch()
        number = (await here.ask("GET", location)).json()["requestNumber"]
        for path in (f"/launch/{number}", "/launch/x", f"/launch/{number}/files"):
            answer = await here.ask("GET", path)
            refused(answer, 404, f"no launch matches {path.split('/')[2]!r}")
        refused(await here.ask("DELETE", "/launch/1"), 404, "no launch matches '1'")
        unknown = "0198c2d4-0000-7000-8000-000000000000"
        for method in ("GET", "DELETE"):
            answer = await here.ask(method, f"/launch/{unknown}")
            assert answer.status_code == 404
            assert answer.json()["status"] == 404


async def test_a_task_is_no_launch(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        task = await here.root.tasks.submit("unload", {"crate": "a"}, service="stevedore")
        assert (await here.ask("GET", f"/launch/{task.id}")).status_code == 404
        assert (await here.ask("DELETE", f"/launch/{task.id}")).status_code == 404


async def test_a_launch_is_canceled_whether_it_waits_runs_or_has_ended(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        runs, waits = await here.launch(), await here.launch()
        await here.running(runs)
        for location in (waits, runs):
            answer = await here.ask("DELETE", location)
            assert (answer.status_code, answer.content) == (200, b"")
        for location in (waits, runs):
            assert (await here.ended(location))["state"] == "canceled"
        again = await here.ask("DELETE", waits)
        assert (again.status_code, again.content) == (200, b"")
        here.open.set()
        done = await here.launch()
        assert (await here.ended(done))["state"] == "completed"
        assert (await here.ask("DELETE", done)).status_code == 200
        assert (await here.ask("GET", done)).json()["state"] == "completed"


async def test_parameters_are_sent_as_headers_of_any_case(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        headers = {"FOLDER": "Straße", "Depth": "7", "PIN": "0000"}
        answer = await here.ask(
            "POST",
            "/launch?id=naming",
            headers={name.encode(): value.encode("latin-1") for name, value in headers.items()},
        )
        assert answer.status_code == 200, answer.text
        here.open.set()
        shown = await here.ended(answer.headers["content-location"])
        assert here.seen == [{"folder": "Straße", "depth": 7, "pin": "**********"}]
        assert shown["arguments"] == [
            {"name": "depth", "value": "7"},
            {"name": "folder", "value": "Straße"},
        ]


async def test_a_form_beats_headers_and_its_last_field_the_others(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        answer = await here.ask(
            "POST",
            "/launch?id=naming",
            headers={"folder": "of a header", "depth": "2"},
            files=[
                ("folder", (None, "first")),
                ("unknown", (None, "is ignored")),
                ("unknown file", ("a.txt", b"is ignored as well")),
                ("folder", (None, "last")),
            ],
        )
        shown = await here.ended(answer.headers["content-location"])
        assert shown["arguments"] == [
            {"name": "depth", "value": "2"},
            {"name": "folder", "value": "last"},
        ]


async def test_parameters_called_like_usual_headers_are_taken_from_forms_only(
    tmp_path: Path,
) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        service = "resting & more"
        date = {"date": "Mon, 23 Nov 2026 08:00:00 GMT"}
        answer = await here.ask("POST", "/launch", params={"id": service}, headers=date)
        assert (await here.ended(answer.headers["content-location"]))["arguments"] == []
        location = await here.launch(service, date="today", user_agent="mü")
        assert (await here.ended(location))["arguments"] == [
            {"name": "date", "value": "today"},
            {"name": "user_agent", "value": "mü"},
        ]


async def test_arguments_have_the_types_of_their_parameters(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        answer = await here.ask(
            "POST",
            "/launch?id=counting",
            files=[
                ("table", ("C:\\fakepath\\täble.csv", b"a,b\n", "text/csv")),
                ("whole", (None, "-7")),
                ("number", (None, "2.5e1")),
                ("truth", (None, "TRUE")),
                ("day", (None, "2026-11-23")),
                ("several", (None, '["a","ü"]')),
                ("thing", (None, '{"a":[1,null]}')),
            ],
        )
        shown = await here.ended(answer.headers["content-location"])
        assert shown["state"] == "completed", shown
        (seen,) = here.seen
        file_id = seen["uri"].removeprefix("files/")
        assert seen | {"day": str(seen["day"])} == {
            "uri": f"files/{file_id}",
            "bytes": b"a,b\n",
            "type": "text/csv",
            "whole": -7,
            "number": 25.0,
            "truth": True,
            "day": "2026-11-23",
            "several": ["a", "ü"],
            "thing": {"a": [1, None]},
        }
        assert shown["arguments"] == [
            {"name": "day", "value": "2026-11-23"},
            {"name": "number", "value": "25"},
            {"name": "several", "value": '["a","ü"]'},
            {"name": "table", "value": f"{here.base}/storage/{file_id}"},
            {"name": "thing", "value": '{"a":[1,null]}'},
            {"name": "truth", "value": "true"},
            {"name": "whole", "value": "-7"},
        ]
        assert (await here.root.files.get(file_id)).path == "täble.csv"


async def test_a_storage_is_named_by_its_uri(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        stored = (await here.ask("POST", "/storage", content=b"1,2")).headers[
            "content-location"
        ]
        shown = await here.ended(await here.launch("counting", table=stored))
        assert shown["arguments"] == [{"name": "table", "value": stored}]
        assert here.seen[0]["bytes"] == b"1,2"


async def test_fields_that_nobody_filled_in_are_left_out(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        here.open.set()
        shown = await here.ended(await here.launch(folder="", depth="", pin=""))
        assert shown["arguments"] == [{"name": "folder", "value": ""}]


async def test_what_cannot_be_launched_starts_nothing(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:

        async def post(query: str, **fields: Any) -> Any:
            return await here.ask("POST", f"/launch{query}", **fields)

        refused(await post(""), 400, "the id of the service that is launched is needed")
        refused(await post("?id=stevedore"), 404, "no service matches 'stevedore'")
        assert (await post("?id=nobody")).status_code == 404
        missing = await post("?id=naming")
        assert missing.status_code == 400
        assert "folder" in missing.json()["message"]
        form = {"folder": (None, "a")}
        for name, value in (("depth", "1_0"), ("depth", "٣"), ("depth", "1.5")):
            answer = await post("?id=naming", files={**form, name: (None, value)})
            refused(answer, 400, f"{name}: {value!r} cannot be read")
        for name, value in (
            ("number", "nan"),
            ("number", "1e999"),
            ("truth", "yes"),
            ("thing", "{"),
            ("several", "[NaN]"),
        ):
            answer = await post("?id=counting", files={name: (None, value)})
            refused(answer, 400, f"{name}: {value!r} cannot be read")
        async with asyncio.timeout(30):
            long = await post("?id=counting", files={"number": (None, "1" * 500_000 + "x")})
        assert long.status_code == 400
        assert (await post("?id=counting", files={"day": (None, "x")})).status_code == 400
        refused(
            await post("?id=naming", files={"folder": ("a.txt", b"a")}),
            400,
            "folder is no file",
        )
        wrong_file = await post("?id=counting", files={"table": (None, "nowhere")})
        assert wrong_file.status_code == 400
        gone = f"{here.base}/storage/0198c2d4-0000-7000-8000-000000000000"
        assert (await post("?id=counting", files={"table": (None, gone)})).status_code == 400
        told = {"status-location": "nowhere"}
        assert (await post("?id=naming", files=form, headers=told)).status_code == 400
        assert await here.queue() == []


async def test_bodies_that_are_no_form_are_415(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        for kind in ("application/json", "application/x-www-form-urlencoded", None):
            headers = {"folder": "a"} | ({"content-type": kind} if kind else {})
            answer = await here.ask(
                "POST", "/launch?id=naming", headers=headers, content=b"folder=a"
            )
            refused(answer, 415, "parameters are sent as multipart/form-data, or as headers")
        # No body is none, whatever it is said to be.
        empty = await here.ask(
            "POST",
            "/launch?id=naming",
            headers={"folder": "a", "content-type": "application/json"},
        )
        assert empty.status_code == 200


async def test_broken_forms_are_400_and_long_ones_413(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        broken = await here.ask(
            "POST",
            "/launch?id=naming",
            headers={"content-type": "multipart/form-data"},
            content=b"x",
        )
        assert broken.status_code == 400
        long = await here.ask(
            "POST", "/launch?id=naming", files={"folder": (None, "x" * 1_100_000)}
        )
        assert long.status_code == 413


async def test_a_form_that_is_cut_off_launches_nothing(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        part = b'--x\r\ncontent-disposition: form-data; name="folder"\r\n\r\na\r\n'
        last = b'--x\r\ncontent-disposition: form-data; name="depth"\r\n\r\n'
        headers = {"content-type": 'multipart/form-data; boundary="x"'}
        for cut in (
            part,
            part + b"--x",
            part + b"--x-",
            part + last,
            part + last + b"7\r\n--x",
        ):
            answer = await here.ask("POST", "/launch?id=naming", headers=headers, content=cut)
            refused(answer, 400, "the form does not come to its end")
        assert await here.queue() == []
        for end in (b"--x--", b"--x--\r\n", b"--x--\r\nepilogue"):
            answer = await here.ask(
                "POST", "/launch?id=naming", headers=headers, content=part + end
            )
            assert answer.status_code == 200, answer.text


async def test_a_body_that_turns_out_to_be_empty_is_none(tmp_path: Path) -> None:
    async def nothing() -> AsyncGenerator[bytes]:
        return
        yield b""

    async def something() -> AsyncGenerator[bytes]:
        yield b"folder=b"

    async with workbench(tmp_path) as here:
        for content, status in (nothing(), 200), (something(), 415):
            answer = await here.ask(
                "POST", "/launch?id=naming", headers={"folder": "a"}, content=content
            )
            assert answer.status_code == status, answer.text


async def test_maintenance_refuses_launches_at_once_and_nothing_else(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await here.launch()
        await here.running(location)
        state = {"value": "maintenance"}
        assert (await here.ask("PUT", "/server/state", params=state, auth=ADMIN)).is_success
        async with asyncio.timeout(20):  # a client that repeats it would take 30 s
            answer = await here.ask("POST", "/launch?id=naming", headers={"folder": "a"})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["status"] == 503
        assert (await here.ask("GET", location)).status_code == 200
        assert [one["state"] for one in await here.queue()] == ["running"]
        here.open.set()
        assert (await here.ended(location))["state"] == "completed"
        assert (await here.ask("DELETE", location)).status_code == 200


async def test_credentials_of_calls_that_need_none_are_ignored(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        wrong = {"authorization": "Basic bm9ib2R5Om5vdGhpbmc="}
        answer = await here.ask("POST", "/launch?id=naming", headers={**wrong, "folder": "a"})
        location = answer.headers["content-location"]
        assert (await here.ask("GET", location, headers=wrong)).status_code == 200
        assert (await here.ask("DELETE", location, auth=ADMIN)).status_code == 200


async def test_a_launch_is_the_gateways_own_and_asks_for_its_callback(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        answer = await here.ask(
            "POST",
            "/launch?id=naming",
            headers={"folder": "a", "status-location": "http://192.0.2.1/told"},
        )
        launch = (
            await here.root.launches.get(answer.headers["content-location"].rpartition("/")[2])
        ).message
        assert launch.metadata.submitter == "longshore.gateway"
        assert launch.options.callback.url == "http://192.0.2.1/told"
        assert launch.options.callback.format == 2  # MDWORKBENCH


async def test_what_is_asked_by_another_method_is_405(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        answer = await here.ask("PATCH", "/launch")
        refused(answer, 405, "Method Not Allowed")
        assert answer.headers["allow"] == "GET, POST, PUT"
        refused(await here.ask("GET", "/nothing"), 404, "Not Found")
        xml = await here.ask("GET", "/nothing", headers={"accept": "application/xml"})
        assert xml.content == (
            b"<?xml version='1.0' encoding='utf-8'?>\n"
            b'<error status="404" message="Not Found" />'
        )


async def test_nothing_acceptable_is_406(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await here.launch()
        answer = await here.ask("GET", location, headers={"accept": "text/html"})
        refused(answer, 406, "there is application/json or application/xml")
