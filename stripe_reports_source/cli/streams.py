"""The standard output and error of a command, of which a reader may have enough before the end, as `head` has.

In: the process's own streams, of which some may be closed. Out: streams that drop what no one reads; the work goes on,
and its exit code counts.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any


def prepare_streams() -> None:
    """Put streams that outlive their readers in the place of the process's own, where those are no terminals."""
    _open_what_is_closed()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot show must not end the work
            if not stream.isatty():
                setattr(sys, name, _outliving(stream))


def _open_what_is_closed() -> None:
    """A stream that was closed from the start, as by `2>&-`, leads nowhere.

    Its number would go to the next file that is opened, a database maybe, and what is meant for the stream into that.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w" if number else "r", encoding="utf-8")  # noqa: SIM115  # for good
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)  # which keeps it open


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _outliving(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    file = _Outliving(stream.fileno(), "wb", closefd=False)
    unbuffered = isinstance(stream.buffer, io.RawIOBase)  # as PYTHONUNBUFFERED makes it
    return io.TextIOWrapper(
        file if unbuffered else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Outliving(io.FileIO):
    """A file whose content goes nowhere once its reader has gone."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(content)
