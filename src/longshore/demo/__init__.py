"""The demonstration: a worker that does archive work on any folder of its machine.

`worker` is what `longshore serve --demo` runs, `archive.yaml` is the contract that it applies.
It shows the worker SDK in use and is no part of the product's promises.
"""

from __future__ import annotations

from longshore.demo.archive import worker

__all__ = ["worker"]
