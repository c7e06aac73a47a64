"""Where options come from: the command line, else the environment, else a TOML file.

Each option is also `LONGSHORE_<COMMAND>_<OPTION>` in the environment, and those that many
commands share, or that make a server, `LONGSHORE_<OPTION>` as well. In the file each command
has a table, such as `[serve]` or `[submit.task]`; what many commands share may stand above all
tables. Where `[[principals]]` or `[[issuers]]` stand in it, it is the file of `--principals`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])

PREFIX: Final = "LONGSHORE"

#: Options that may stand above all tables of a file.
_SHARED: Final = (
    *("server", "store", "tenant", "timeout", "json", "log_level", "principals"),
    *("token", "token_file", "tls", "ca", "cert", "key", "server_name"),
)

#: Arrays of tables that say who may call a server; see `longshore.access.configuration`.
_ACCESS: Final = ("principals", "issuers")


def setting(name: str, *declarations: str, **attributes: Any) -> Callable[[F], F]:
    """Declare an option that is read from `LONGSHORE_<NAME>` as well."""
    variable = f"{PREFIX}_{name.removeprefix('--').replace('-', '_').upper()}"
    attributes = {"show_default": True, "show_envvar": True, **attributes}
    return click.option(name, *declarations, envvar=variable, **attributes)


def config_option(command: F) -> F:
    """Declare `--config`, which may stand before the command and after it."""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar=f"{PREFIX}_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=_read,
        help="A TOML file with options: a table per command, shared ones above all tables.",
    )(command)


def _read(context: click.Context, option: click.Parameter, file: Path | None) -> None:
    if file is None:
        return
    try:
        with file.open("rb") as opened:
            table = _without_access(tomllib.load(opened), file)
        root = context.find_root()
        defaults = _defaults(root.command, root, table, {}, "")
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{file}: {error}", context, option) from None
    for name in context.command_path.split()[1:]:
        defaults = defaults.get(name, {})
    context.default_map = defaults


def _without_access(table: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return what is for commands; who may call is told by naming the file that says it."""
    kept = {
        name: value
        for name, value in table.items()
        if name not in _ACCESS or not isinstance(value, list)
    }
    return kept if len(kept) == len(table) else {"principals": str(file), **kept}


def _defaults(
    command: click.Command,
    context: click.Context,
    table: Mapping[str, Any],
    shared: Mapping[str, Any],
    where: str,
) -> dict[str, Any]:
    """Return click's defaults for a command, or for all commands of a group.

    Raises `ValueError` that names the key and what would be known.
    """
    table = {name.replace("-", "_"): value for name, value in table.items()}
    if not isinstance(command, click.Group):
        return _of_command(command, table, shared, where)
    commands = {
        name: command.get_command(context, name) for name in command.list_commands(context)
    }
    if not where:
        shared = {
            name: table.pop(name)
            for name in _SHARED
            if name in table and not isinstance(table[name], dict)
        }
    _refuse_unknown(table, [*commands, *(_SHARED if not where else ())], where)
    return {
        name: _defaults(
            one,
            context,
            _table(table.get(name, {}), name),
            shared,
            f"{where}.{name}".lstrip("."),
        )
        for name, one in commands.items()
        if one is not None
    }


def _of_command(
    command: click.Command, table: Mapping[str, Any], shared: Mapping[str, Any], where: str
) -> dict[str, Any]:
    names = {
        _long(option): option.name
        for option in command.params
        if isinstance(option, click.Option) and option.expose_value
    }
    _refuse_unknown(table, names, where)
    given = {**{name: value for name, value in shared.items() if name in names}, **table}
    return {str(names[name]): value for name, value in given.items()}


def _long(option: click.Option) -> str:
    """Return an option's name as it stands in a file: `run_timeout`."""
    name = next(one for one in option.opts if one.startswith("--"))
    return name.removeprefix("--").replace("-", "_")


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"[{name}] must be a table")  # noqa: TRY004 - the file's fault
    return cast("Mapping[str, Any]", value)


def _refuse_unknown(table: Mapping[str, Any], known: Any, where: str) -> None:
    for name in table:
        if name not in known:
            place = f" in [{where}]" if where else ""
            raise ValueError(
                f"unknown key {name!r}{place}; known are {', '.join(sorted(known))}"
            )
