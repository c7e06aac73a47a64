"""The client for code that does not await: the same rooms, methods and handles, blocking.

    with SyncClient("127.0.0.1:50051") as client:
        handle = client.tasks.submit("digest", {"path": "/etc/hosts"})
        for change in handle.watch():
            print(change.event.revision)
        print(handle.result())

All clients of a process share one event loop on a thread of its own, and may be used from any
other thread. The types are in `sync.pyi`, which `make gen` writes.
"""

from __future__ import annotations

from typing import Any

from longshore.client import (
    catalog,
    channels,
    client,
    downloads,
    fetching,
    files,
    handles,
    jobs,
    launches,
    operations,
    paging,
    queues,
    rooms,
    server,
    tasks,
    watching,
)
from longshore.client.faces import ClosingFace, Face, ListFace, StreamFace
from longshore.client.portal import portal


class SyncClient(ClosingFace):
    """Asks Longshore for work, and blocks until it is answered; see `longshore.client.Client`.

    Ctrl-C ends the wait for an answer, never the work. Once there is a client, processes are to
    be spawned instead of forked: gRPC does not outlive a fork.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(portal().call(client.Client, *arguments, **named))


class Room(Face, shows=rooms.Room): ...


class Tasks(Room, shows=tasks.Tasks): ...


class Jobs(Room, shows=jobs.Jobs): ...


class Launches(Room, shows=launches.Launches): ...


class Operations(Face, shows=operations.Operations): ...


class Files(Face, shows=files.Files): ...


class Catalog(Face, shows=catalog.Catalog): ...


class Queues(Face, shows=queues.Queues): ...


class Server(Face, shows=server.Server): ...


class Handle(Face, shows=handles.Handle): ...


class TaskHandle(Handle, shows=handles.TaskHandle): ...


class JobHandle(Handle, shows=handles.JobHandle): ...


class LaunchHandle(Handle, shows=handles.LaunchHandle): ...


class Pages(ListFace, shows=paging.Pages): ...


class Watch(StreamFace, shows=watching.Watch): ...


class Reading(StreamFace, shows=downloads.Reading): ...


class Fetching(StreamFace, shows=fetching.Fetching): ...


class Results(StreamFace, shows=channels.Results): ...
