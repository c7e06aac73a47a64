"""What this machine cannot do: read what is to be sent, or keep what has come."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from os import PathLike, fsdecode

import click

from longshore.cli.running import EXIT_CALL
from longshore.client.errors import UnsafePath


class LocalFault(click.ClickException):
    """A file here cannot be read or written; says which one, and why."""

    exit_code = EXIT_CALL


@contextmanager
def local_faults(doing: str, path: str | PathLike[str]) -> Generator[None]:
    """Let an error of this machine say what could not be done with which file.

    Raises `LocalFault`.
    """
    try:
        yield
    except BrokenPipeError:  # nobody reads on: nothing to tell, and click knows
        raise
    except UnsafePath as error:
        raise LocalFault(
            f"{error}; `longshore download FILE -o NAME` gives it another"
        ) from None
    except OSError as error:
        why = error.strerror or error
        raise LocalFault(f"{fsdecode(path)} cannot be {doing}: {why}") from None
