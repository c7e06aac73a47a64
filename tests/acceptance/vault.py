"""Work that is told secrets. It notes in a file of its own what it was told, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from longshore.worker import Context, PermanentError, Worker

worker = Worker("vault", identity="keeper")


def _note(context: Context, *secrets: SecretStr) -> None:
    """Note what was told, of which step."""
    with Path(os.environ.get("VAULT_NOTES", os.devnull)).open("a") as notes:
        for secret in secrets:
            print(context.operation_id, context.step, secret.get_secret_value(), file=notes)


@worker.action
async def unlock(
    context: Context, key: SecretStr, others: tuple[SecretStr, ...] = (), door: str = ""
) -> dict[str, str]:
    """Open a door, unless it is stuck at the first attempt or jammed for good."""
    _note(context, key, *others)
    context.log(f"a key {key} for {door!r}")
    if door == "stuck" and context.attempt == 1:
        raise RuntimeError(f"the door is stuck, {key} or not")
    if door == "jammed":
        raise PermanentError(f"the door is jammed, {key} or not")
    return {"door": door}


@worker.operation("open-vault")
async def open_vault(
    context: Context, key: Annotated[SecretStr, Field(max_length=20)], door: str = ""
) -> dict[str, str]:
    """Open the vault."""
    return await unlock(context, key, (), door)
