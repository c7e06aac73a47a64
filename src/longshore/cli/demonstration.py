"""The demonstration inside a server: its worker, and its contract as if somebody applied it."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from longshore.cli.documents import read_documents
from longshore.cli.inside import Door
from longshore.cli.loading import load_worker
from longshore.client import Client
from longshore.v1.catalog_service_pb2 import Contract
from longshore.worker import Worker

_WORKER: Final = "longshore.demo:worker"
_CONTRACT: Final = "archive.yaml"


def demonstration_worker() -> Worker:
    """Return the worker. Raises `click.UsageError` if what it needs is not installed."""
    return load_worker(_WORKER)


async def apply_demonstration(door: Door) -> None:
    """Make the contract, or make it again what it is. Raises `CallError`."""
    with (files("longshore.demo") / _CONTRACT).open(encoding="utf-8") as file:
        documents = read_documents([file], Contract)
    async with Client(door.address, token=door.token, insecure=True) as client:
        for document in documents:
            await client.catalog.apply_contract(document.message)
