"""Clients of google.longrunning, which know nothing of Longshore."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import grpc
from google.api_core import operation
from google.api_core.future.polling import DEFAULT_POLLING
from google.api_core.operations_v1 import OperationsClient

from longshore.v1.task_service_pb2 import Task
from tests.acceptance.journal import check_nothing_ran_twice, noted
from tests.acceptance.office import Office
from tests.acceptance.processes import Dockhand
from tests.acceptance.quay import Quay
from tests.acceptance.waiting import eventually, within
from tests.tools.proxy import Proxy

# Parts of the library have no types.
FUTURES: Any = cast("Any", operation)
CLIENT: Any = OperationsClient

#: It asks again and again; its own first pause is a second.
POLLING: Any = DEFAULT_POLLING.with_delay(initial=0.05, maximum=0.2)


async def test_a_generic_client_waits_for_work_while_the_server_is_killed_and_started_again(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Quay(store) as quay,
        Dockhand(quay.address, journal),
        Office(quay.address) as office,
        Proxy(quay.address) as proxy,
    ):
        await office.connected()
        client = quay.client()
        task = await client.tasks.submit("hold", {"gate": str(gate)})
        with grpc.insecure_channel(proxy.address) as channel:
            generic = CLIENT(channel)
            begun = await asyncio.to_thread(generic.get_operation, f"operations/{task.id}")
            future = FUTURES.from_gapic(
                begun, generic, Task, metadata_type=Task, polling=POLLING
            )
            waiting = asyncio.create_task(asyncio.to_thread(future.result))
            await eventually(lambda: noted(journal, "start"), "the start of the work")
            before = proxy.connections
            await quay.kill()
            await eventually(lambda: proxy.connections > before, "a question in vain")
            await quay.start()
            gate.touch()
            result: Task = await within(waiting, "the end of the work")
        await task.status()
        assert result == task.message
        assert result.status.result["attempt"] == 1
    check_nothing_ran_twice(journal)
