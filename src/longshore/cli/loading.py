"""Finding a worker in a module of the user's."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

from longshore.worker import Worker


def load_worker(target: str) -> Worker:
    """Return the worker that `module:name` names; modules here come before installed ones.

    Raises `click.UsageError` that says what is missing. What the module itself raises is left
    as it is, so that its author sees where.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise click.UsageError(f"{target!r} names no worker; write module:worker")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(module_name)
    worker = getattr(module, name, None)
    if not isinstance(worker, Worker):
        wrong = "has no" if worker is None else "has something else as"
        raise click.UsageError(f"module {module_name} {wrong} {name!r}{_others(module)}")
    return worker


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            message = f"there is no module {name}, neither installed nor in {Path.cwd()}"
        else:
            message = f"module {name} needs {error.name}, which is not installed"
        raise click.UsageError(message) from None


def _others(module: ModuleType) -> str:
    workers = [name for name, value in vars(module).items() if isinstance(value, Worker)]
    if not workers:
        return "; it has no worker at all"
    return f"; its workers are {', '.join(workers)}"
