"""`python -m tests.docs`: make what is made in the documentation, from the code and from the demonstration.

Without arguments, the pages' parts that are made from the code. With `--demo`, also the picture of the terminal and
the results of the queries: the demonstration is run for them, which takes half a minute.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from . import made, picture, results


def main() -> None:
    """Make it."""
    made.write()
    if "--demo" in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            picture.make(Path(folder))
            results.fill(Path(folder) / "stripe_demo.duckdb")


if __name__ == "__main__":
    main()
