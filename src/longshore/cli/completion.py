"""`longshore completion`: teach a shell to complete."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from longshore.cli.commands import examples
from longshore.cli.output import say

_EXAMPLES = examples(
    "completion bash > ~/.local/share/bash-completion/completions/longshore",
    "completion zsh > ~/.zfunc/_longshore",
    "completion fish > ~/.config/fish/completions/longshore.fish",
)


@click.command(epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that teaches a shell to complete commands, options and names.

    Names of contracts, services and queues come from the server that LONGSHORE_SERVER or
    --server names, if it answers within a second.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    name = root.info_name or "longshore"
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    say(kind(root.command, {}, name, variable).source())
