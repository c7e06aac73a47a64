"""Memory: what is collected when, and how the C library handles the large blocks of files."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
from typing import Final

_MIB: Final = 1024 * 1024

# The parameters of glibc's mallopt.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3


def collect_garbage_rarely() -> None:
    """Leave alone what lives as long as the process, and look less often at what does not.

    Nearly all that a call makes is freed by its count of references; a batch of a thousand
    changes would else be walked through several times while it lives.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def keep_freed_memory() -> None:
    """Let blocks of a mebibyte be used again instead of being given back and got anew.

    New memory comes page by page, each cleared first, which takes a sixth of the time of an
    upload. Elsewhere than under glibc nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 32 * _MIB)
        mallopt(_TRIM_THRESHOLD, 32 * _MIB)
