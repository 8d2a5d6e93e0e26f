"""How much disk an installation takes, by package: `PYTHON tests/package/size.py` with its Python.

Counts the files that each distribution lists, without the byte code that Python writes later.
"""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

MEGABYTE = 1_000_000
SHOWN = 1.0  # megabytes; what is smaller is added up


def sizes() -> dict[str, int]:
    """Bytes of each distribution of this environment."""
    found = {}
    for distribution in distributions():
        kept = [file for file in distribution.files or () if file.suffix != ".pyc"]
        paths = [Path(str(distribution.locate_file(file))) for file in kept]
        found[distribution.metadata["Name"]] = sum(path.stat().st_size for path in paths if path.is_file())
    return found


def main() -> None:
    """Print the table, largest first, in megabytes of a million bytes."""
    by_name = sorted(sizes().items(), key=lambda item: -item[1])
    for name, size in by_name:
        if size >= SHOWN * MEGABYTE:
            print(f"{size / MEGABYTE:7.1f} MB  {name}")
    small = [size for _, size in by_name if size < SHOWN * MEGABYTE]
    print(f"{sum(small) / MEGABYTE:7.1f} MB  {len(small)} others")
    print(f"{sum(size for _, size in by_name) / MEGABYTE:7.1f} MB  in all")


if __name__ == "__main__":
    main()
