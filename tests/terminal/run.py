"""A command of ours on a real terminal, or with its output piped.

In: arguments, environment, columns. Out: what it wrote, when, and its exit code.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .screen import Screen

LINES = 50
COMMAND = (sys.executable, "-m", "stripe_reports_source.cli")
REDRAWN = re.compile(r"(?=\r\x1b\[2K)")
"""Where what moves is written anew."""


@dataclass(frozen=True)
class Ran:
    """What a command wrote on a terminal.

    Args:
        screen: as it is in the end.
        frames: the text of the screen each time before what moves is written anew, and in the end.
        exit_code: of the command.
        first_after: seconds from the start of the process to its first text.
    """

    screen: Screen
    frames: tuple[str, ...]
    exit_code: int
    first_after: float


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process, without what tells a program of another terminal, and some settings."""
    others = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM")
    kept = {name: value for name, value in os.environ.items() if name not in others}
    return kept | {"TERM": "xterm-256color", "RUNTIME__DLTHUB_TELEMETRY": "false", **settings}


def on_terminal(arguments: Sequence[str], folder: Path, settings: Mapping[str, str], columns: int) -> Ran:
    """Run a command in a folder, on a terminal with so many columns."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    written, first, began = [], 0.0, time.monotonic()
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=environment(settings), stdin=inside, stdout=inside, stderr=inside
    ) as process:
        os.close(inside)
        while piece := _read(terminal):
            first = first or time.monotonic() - began
            written.append(piece)
    os.close(terminal)
    screen, frames = Screen(columns), []
    for part in REDRAWN.split(b"".join(written).decode()):
        screen.write(part)
        frames.append(screen.text)
    return Ran(screen, tuple(frames), process.returncode, first)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux's way to say that nobody writes any more
        return b""


def piped(arguments: Sequence[str], folder: Path, settings: Mapping[str, str]) -> tuple[str, int]:
    """Run a command in a folder with its output piped: all that it wrote, and its exit code."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout, done.returncode
