"""What commands are made of: examples below their help, and what a group does by itself."""

from __future__ import annotations

import click


def examples(*lines: str) -> str:
    """Return the end of a command's help: what to type."""
    head = "Examples:" if len(lines) > 1 else "Example:"
    return "\n".join(["\b", head, *(f"  longshore {line}" for line in lines)])


class Listing(click.Group):
    """A group that does the first of its commands where none is named: it says what there is."""

    @property
    def first(self) -> str:
        return next(iter(self.commands))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self._names_none(ctx, args):
            args = [self.first, *args]
        return super().parse_args(ctx, args)

    def _names_none(self, ctx: click.Context, args: list[str]) -> bool:
        if not args:
            # A shell that completes has named none yet.
            return not ctx.resilient_parsing
        return args[0].startswith("-") and args[0] not in ctx.help_option_names

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(f"Without a command: `{self.first}`.")
