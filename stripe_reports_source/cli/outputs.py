"""Files that a command writes where its user says: whole, for their owner alone.

In: a path of the user's, and content. Out: the file. What is there and is not a file, such as a pipe or a device, is
written into and stays what it is; so does a link.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def file_of(output: Path) -> Path | None:
    """The file that a path names, there or not, behind links; None for what is written into: a pipe or a device."""
    if output.exists() and not output.is_file():
        return None
    return Path(os.path.realpath(output))


def write(output: Path, text: str) -> bool:
    """Write a file whole; False if it stood there just so.

    Raises:
        OSError: it cannot be written; what stood there is unchanged.
    """
    content, file = text.encode(), file_of(output)
    if file is None:
        with suppress(BrokenPipeError):  # whoever reads it may have enough before the end
            output.write_bytes(content)
        return True
    if file.is_file() and file.read_bytes() == content:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(number, "wb") as opened:
            opened.write(content)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True
