"""Operations of any kind, by id or number: look at them, hold them, end them, do them again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click

from longshore.cli.commands import examples
from longshore.cli.describing import called
from longshore.cli.output import on_one_line, printable, say, say_json, say_sheet
from longshore.cli.running import Asking, asks, each
from longshore.cli.sheets import sheet
from longshore.cli.suggestions import queues
from longshore.cli.wording import happened, moment, origin
from longshore.client.handles import Handle, state_name
from longshore.v1.operation_pb2 import Event

F = TypeVar("F", bound=Callable[..., Any])

AnyHandle = Handle[Any, Any]

_IDS: Final = click.argument("ids", nargs=-1, required=True, metavar="ID...")


@click.command(epilog=examples("get 17", "get 17 18 --json"))
@_IDS
@asks
async def get(asking: Asking, ids: tuple[str, ...]) -> int:
    """Show operations by id or number, with all that is known of them."""

    async def show(handle: AnyHandle) -> None:
        if asking.as_json:
            say_json(handle.message)
            return
        say_sheet(sheet(handle.message))
        if len(ids) > 1:
            say("")

    return await _each(asking, ids, show)


@click.command(epilog=examples("cancel 17", "cancel 17 18 19 --message 'wrong folder' --force"))
@_IDS
@click.option("--message", default="", help="Why, for people.")
@click.option("--force", is_flag=True, help="End a running attempt at once, without the grace.")
@asks
async def cancel(asking: Asking, ids: tuple[str, ...], message: str, force: bool) -> int:
    """Cancel operations that have not ended.

    One that waits ends at once; one that runs is told to, and ends within its grace.
    """

    async def end(handle: AnyHandle) -> None:
        await handle.cancel(message, force=force)
        if handle.ended:
            _told(asking, handle, f"is {handle.state}")
        else:
            _told(asking, handle, f"is told to end: `longshore watch {handle.number}`")

    return await _each(asking, ids, end)


@click.command(epilog=examples("suspend 17", "suspend 17 18 19"))
@_IDS
@asks
async def suspend(asking: Asking, ids: tuple[str, ...]) -> int:
    """Hold operations that are QUEUED: they do not start until they are resumed."""

    async def hold(handle: AnyHandle) -> None:
        await handle.suspend()
        lets_go = f"`longshore resume {handle.number}` lets it go on"
        _told(asking, handle, f"is {handle.state}: {lets_go}")

    return await _each(asking, ids, hold)


@click.command(epilog=examples("resume 17", "resume 17 18 19"))
@_IDS
@asks
async def resume(asking: Asking, ids: tuple[str, ...]) -> int:
    """Let operations go on that are SUSPENDED: they are QUEUED again."""

    async def let_go(handle: AnyHandle) -> None:
        await handle.resume()
        _told(asking, handle, f"is {handle.state}")

    return await _each(asking, ids, let_go)


@click.command(epilog=examples("resubmit 17", "resubmit 17 18 --from-failed"))
@_IDS
@click.option(
    "--from-failed",
    is_flag=True,
    help="Go on from the action that failed, with what those before it left behind.",
)
@asks
async def resubmit(asking: Asking, ids: tuple[str, ...], from_failed: bool) -> int:
    """Run what operations that have ended asked for once more, as new ones."""

    async def again(handle: AnyHandle) -> None:
        new = await handle.resubmit(from_failed=from_failed)
        _told(asking, new, f"does again what {called(handle.message)} was to do: {new.id}")

    return await _each(asking, ids, again)


@click.command(epilog=examples("move 17 night"))
@click.argument("job_id", metavar="JOB")
@click.argument("queue", shell_complete=queues)
@asks
async def move(asking: Asking, job_id: str, queue: str) -> None:
    """Move a job to another queue. One that runs goes on; one that waits, waits there."""
    handle = await asking.client.jobs.move(job_id, queue)
    _told(asking, handle, f"is {handle.state} in queue {handle.message.options.queue}")


@click.command(epilog=examples("explain 17"))
@click.argument("operation_id", metavar="ID")
@asks
async def explain(asking: Asking, operation_id: str) -> None:
    """Explain why the operation with this id or number is not running.

    All reasons, the weightiest first.
    """
    answer = await asking.client.operations.explain(operation_id)
    if asking.as_json:
        say_json(answer)
        return
    say(state_name(answer.state))
    for number, reason in enumerate(answer.reasons, 1):
        say(f"{number}. {printable(reason.message)}")
    for warning in answer.warnings:
        say(f"warning: {printable(warning)}")


@click.command(epilog=examples("history 17", "history 17 --detail log --detail progress"))
@click.argument("operation_id", metavar="ID")
@click.option(
    "--detail",
    "details",
    multiple=True,
    metavar="NAME",
    help="Only events of this sort: state_changed, progress, log, …; may be repeated.",
)
@asks
async def history(asking: Asking, operation_id: str, details: tuple[str, ...]) -> None:
    """Show what has happened to the operation with this id or number, the oldest first.

    And who brought it about, from which host: `-` is the server itself.
    """
    async for event in asking.client.operations.history(operation_id, *details):
        if asking.as_json:
            say_json(event)
        else:
            say(_line(event))


def _line(event: Event) -> str:
    """Return when and by whom something happened, before the words that anybody may choose."""
    when, by = moment(event.time), on_one_line(origin(event))
    cells = (f"{event.revision:>8}", when, f"{state_name(event.state):9}", f"{by:20}")
    return "  ".join([*cells, printable(happened(event))]).rstrip()


async def _each(
    asking: Asking, ids: tuple[str, ...], do: Callable[[AnyHandle], Awaitable[None]]
) -> int:
    """Do something with one operation after another; see `each`."""

    async def with_handle(one: str) -> None:
        await do(await asking.client.operations.get(one))

    return await each(asking, ids, with_handle)


def _told(asking: Asking, handle: AnyHandle, what: str) -> None:
    if asking.as_json:
        say_json(handle.message)
    else:
        say(f"{called(handle.message)} {what}")
