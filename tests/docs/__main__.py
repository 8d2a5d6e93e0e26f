"""`python -m tests.docs`: make what is made in the documentation, from the code and from the demonstration.

Without arguments, the pages' parts that are made from the code. With `--page`, the picture of the demonstration's page,
for which there must be playwright and Chromium. With `--demo`, also what the commands print on
terminals, the picture of one of them, and the results of the queries: all commands are run for them, the demonstration
among them, which takes some minutes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.terminal import captures

from . import made, page_picture, picture, results


def main() -> None:
    """Make it."""
    made.write()
    if "--page" in sys.argv[1:]:
        page_picture.make()
    if "--demo" in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            captures.write(Path(folder))
            picture.make()
            results.fill(Path(folder) / captures.DATABASE)


if __name__ == "__main__":
    main()
