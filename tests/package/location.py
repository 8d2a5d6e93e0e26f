"""`python -m tests.package.location`: link the package's files into `sources/`, from where `dlt init` copies them.

dlt takes a folder `sources/NAME` of real files or of links to files; a link to a folder it refuses.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.package.project import PROJECT, ROOT

PACKAGE, LINKS = ROOT / "stripe_reports_source", ROOT / "sources" / "stripe_reports"


def link(package: Path, links: Path) -> None:
    """Make a folder of links to all files of another, and the list of what they need."""
    shutil.rmtree(links, ignore_errors=True)
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            at = links / path.relative_to(package)
            at.parent.mkdir(parents=True, exist_ok=True)
            at.symlink_to(os.path.relpath(path, at.parent))
    (links / "requirements.txt").write_text("\n".join([*PROJECT["dependencies"], ""]), encoding="utf-8")


if __name__ == "__main__":
    link(PACKAGE, LINKS)
