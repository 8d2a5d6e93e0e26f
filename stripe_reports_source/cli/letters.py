"""Whether this process can tell the letters of what it is given: a machine without a locale has ASCII alone.

In: arguments, settings and folders, as Python has decoded them. Out: a sentence, where some of them are no text.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable, Iterator

SETTINGS = ("SOURCES__", "DESTINATION__", "DLT_", "HOME", "TMPDIR")
"""What the environment's variables begin with that are looked at."""


def untold_letters(encoding: str | None = None, given: Iterable[str] | None = None) -> str:
    """Say what to set where arguments, settings or folders have letters that Python cannot tell here.

    Args:
        encoding: in which Python decodes them; None is as it does.
        given: these texts; None is the process's own.

    Returns:
        A sentence; "" where all is well.
    """
    name = codecs.lookup(encoding or sys.getfilesystemencoding()).name
    if name != "ascii" or all(map(_is_text, _of_process() if given is None else given)):
        return ""
    return (
        "an argument, a setting or the present folder has letters beyond ASCII, and this machine's locale knows ASCII "
        "alone; set PYTHONUTF8=1, or LANG=C.UTF-8."
    )


def _of_process() -> Iterator[str]:
    yield from sys.argv
    yield from (value for name, value in os.environ.items() if name.startswith(SETTINGS))
    try:
        yield os.getcwd()
    except OSError:  # it was removed: whoever needs it says so
        return


def _is_text(given: str) -> bool:
    """False with the marks that Python puts in the place of bytes that it cannot decode."""
    return given.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in given)
