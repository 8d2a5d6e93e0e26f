"""The command `stripe-reports`, from its first moment: it says that it starts, and then imports dlt, which takes long.

In: the process. Out: `cli`, see `commands`, run in it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from .letters import untold_letters
from .streams import prepare_streams

if TYPE_CHECKING:
    from .commands import cli

__all__ = ["cli", "main"]

STARTING = "stripe-reports is starting ..."
_NOT_SET_UP, _STOPPED = 4, 130


def main() -> None:
    """The entry point."""
    prepare_streams()
    untold = untold_letters()
    if untold:
        _write(f"error: {untold}\n")
        raise SystemExit(_NOT_SET_UP)
    signal.signal(signal.SIGTERM, _stop)
    os.umask(0o077)  # customers' rows are for their owner only: the database, and dlt's files until they are loaded
    os.environ.setdefault("LOAD__DELETE_COMPLETED_JOBS", "true")  # dlt keeps the files of loaded packages otherwise
    with _starting():
        from .commands import cli
    cli()


def __getattr__(name: str) -> Any:
    if name != "cli":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .commands import cli

    return cli


@contextmanager
def _starting() -> Iterator[None]:
    """Say on a terminal that the command starts, until it does."""
    shown = STARTING if sys.stderr.isatty() else ""
    _write(shown)
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(_STOPPED) from None
    finally:
        if shown:
            _write(f"\r{' ' * len(shown)}\r")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a command like Ctrl-C."""
    raise KeyboardInterrupt
