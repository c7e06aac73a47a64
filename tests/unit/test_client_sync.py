"""The sync client shows all that the client has, and says its types."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

from longshore import client as package
from longshore.client import sync
from longshore.client.portal import portal
from longshore.client.sync import Pages, SyncClient, TaskHandle
from tests.tools.sync_types import STUB, render


def test_the_types_of_the_sync_client_are_fresh() -> None:
    assert STUB.read_text() == render()


@pytest.mark.parametrize(
    "room", ["tasks", "jobs", "launches", "operations", "files", "catalog", "queues", "server"]
)
def test_every_room_and_method_of_the_client_is_shown(room: str) -> None:
    hints: dict[str, type[Any]] = get_type_hints(package.Client)
    with SyncClient("127.0.0.1:1") as client:
        shown = getattr(client, room)
        assert isinstance(shown, getattr(sync, hints[room].__name__))
        for name, method in inspect.getmembers(hints[room], inspect.isfunction):
            if not name.startswith("_"):
                assert not inspect.iscoroutinefunction(getattr(shown, name))
                assert getattr(shown, name).__doc__ == method.__doc__
                assert name in dir(shown)


def test_what_the_client_hides_the_sync_client_hides() -> None:
    with SyncClient("127.0.0.1:1") as client:
        assert not hasattr(client, "_connection")
        assert not hasattr(client.tasks, "_calls")


def test_faces_can_be_named_with_what_they_hold() -> None:
    def listed() -> Pages[TaskHandle]:
        raise NotImplementedError

    assert get_type_hints(listed, globals())["return"] == Pages[TaskHandle]


def test_on_its_own_loop_the_sync_client_refuses_to_wait_for_itself() -> None:
    with SyncClient("127.0.0.1:1") as client:  # noqa: SIM117 - it is not the client that fails
        with pytest.raises(RuntimeError, match="would wait for itself"):
            portal().call(client.tasks.get, "7")


def test_what_is_raised_on_the_loop_is_raised_to_the_caller() -> None:
    with SyncClient("127.0.0.1:1") as client:
        with pytest.raises(package.Unavailable):
            client.tasks.get("7")
        with pytest.raises(package.InvalidValue):
            client.tasks.submit("scan", {"set": {1}})
    with pytest.raises(package.InvalidValue):
        SyncClient("")
