"""What must not be there when all is over: the key, a row where none belongs, a file that others can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.faults.oracle import Findings
from tests.faults.worker import Work

ROW_MARK = re.compile(rb"\b(txn|ch|po)_[0-9a-f]{12}")
"""An id, as each row of an itemized report has one."""
RESULT_FILES = "stripe_result_files"
PROBES = (b"", b"blat")
"""What Python's `tempfile` writes to see whether a folder can be written, and a kill may leave."""
HOLDS_ROWS = (".parquet", ".jsonl", ".insert_values", ".csv", ".duckdb", ".wal")
OWN = (".sightings", "sightings.jsonl", "losses.txt")
"""The harness's own files."""


def nothing_is_left_behind(work: Work, findings: Findings) -> None:
    """Look at every file of a schedule's folder."""
    files = [path for path in work.folder.rglob("*") if path.is_file() and path.name not in OWN]
    leaks = [path.name for path in files if work.api_key.encode() in path.read_bytes()]
    findings.note("key_leaks", len(leaks), ", ".join(leaks))
    kept = [path for path in files if path.read_bytes() not in PROBES and _is_for_a_while(work, path)]
    findings.note("left_behind", len(kept), f"files of ended syncs: {_names(work, kept)}")
    strange = [path for path in _outside(work, files) if ROW_MARK.search(path.read_bytes())]
    findings.note("left_behind", len(strange), f"rows in {_names(work, strange)}")
    readable = [path for path in files if path.suffix.lower() in HOLDS_ROWS and _is_open(work, path)]
    findings.note("readable_by_others", len(readable), f"files with rows: {_names(work, readable)}")


def _is_for_a_while(work: Work, path: Path) -> bool:
    """True for files that are of use only while a sync lives. What machine 1 has left awaits its own next sync."""
    names = path.relative_to(work.folder).parts
    return names[0] == work.temporary.name or (names[0] in ("machine0", work.fetched.name) and RESULT_FILES in names)


def _is_open(work: Work, path: Path) -> bool:
    """True if others can read a file: it is not closed to them, and none of the folders above it is."""
    within = [path, *(folder for folder in path.parents if folder.is_relative_to(work.folder))]
    return all(part.stat().st_mode & 0o077 for part in within if part != work.folder)


def _names(work: Work, paths: list[Path]) -> str:
    return ", ".join(str(path.relative_to(work.folder)) for path in paths[:3])


def _outside(work: Work, files: list[Path]) -> Iterator[Path]:
    """Files outside the destination and dlt's folders."""
    for path in files:
        top = path.relative_to(work.folder).parts[0]
        if not top.startswith(("machine", "warehouse", "tmp")) and top not in ("dlt", work.fetched.name):
            yield path
