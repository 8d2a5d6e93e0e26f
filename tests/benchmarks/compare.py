"""What one would do without this package, on the same file: how fast it is, and what it loses.

The CSV file is on this disk already for all but this package, which makes the run and downloads it. Each is measured
once, as a whole process. What gets lost is read off the table that it made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb

from .cases import Bench
from .data import Written
from .measure import CommandFailed, measure, worker
from .table import EMPTY_AND_NULL, TABLE


@dataclass(frozen=True)
class Way:
    """A way to load the file: a function of `workers` and the packages it needs beside this project's."""

    title: str
    worker: str
    packages: tuple[str, ...] = ()
    install: str = ""


WAYS = (
    Way("csv.DictReader, then dlt", "dict_reader"),
    Way("pandas read_csv, then dlt", "pandas_dlt", ("pandas",), "pip install pandas"),
    Way(
        "pandas read_csv, then to_sql (DuckDB)",
        "pandas_sql",
        ("pandas", "sqlalchemy", "duckdb_engine"),
        "pip install pandas duckdb-engine 'sqlalchemy<2.1'",
    ),
    Way("pandas read_csv, then to_sql (SQLite)", "pandas_sqlite", ("pandas",), "pip install pandas"),
)


def comparisons(bench: Bench, rows: int) -> list[dict[str, Any]]:
    """A line for the reference, one for this package, one for each other way."""
    file = bench.file(rows)
    reference = bench.reference(file)
    base = _facts(bench.folder / "reference" / "reference.duckdb", TABLE)

    def line(title: str, seconds: float, peak: int, **more: Any) -> dict[str, Any]:
        return {
            "case": "compare",
            "way": title,
            "rows": rows,
            "seconds": round(seconds, 2),
            "rows_per_second": round(rows / seconds),
            "ratio": round(seconds / reference.seconds, 1),
            "peak_mb": round(peak / 1e6),
            **more,
        }

    lines = [line("DuckDB alone (the reference)", reference.seconds, reference.peak_bytes, loses=[])]
    bench.stripe.publish(file.path)
    folder = bench.ground("ours")
    ours = bench.load(folder)
    bench.check(folder, file)
    lines.append(line("this package, download included", ours.seconds, ours.peak_bytes, loses=[]))
    for way in WAYS:
        missing = [name for name in way.packages if find_spec(name) is None]
        if missing:
            lines.append({"case": "compare", "way": way.title, "skipped": f"needs {', '.join(missing)}: {way.install}"})
            continue
        lines.append(_measured(bench, way, file, base, line))
    bench.drop(file)
    return lines


def _measured(
    bench: Bench, way: Way, file: Written, base: dict[str, Any], line: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    folder = bench.ground("other")
    database = folder / "other.duckdb"
    try:
        measured = measure(worker(way.worker, csv_file=file.path, database=database, table="report"), folder)
    except CommandFailed as error:
        return {"case": "compare", "way": way.title, "skipped": f"failed: {str(error).splitlines()[-1]}"}
    facts = _facts_of_sqlite(database) if way.worker == "pandas_sqlite" else _facts(database, "report")
    return line(way.title, measured.seconds, measured.peak_bytes, loses=_losses(facts, base))


def _losses(facts: dict[str, Any], base: dict[str, Any]) -> list[str]:
    losses = []
    if facts["amount"] != base["amount"]:
        losses.append(f"amounts are {facts['amount']}")
    if facts["empty"] != base["empty"]:
        losses.append('NULL and "" are one')
    if facts["zeros"] != base["zeros"]:
        losses.append(f"postal codes are {facts['code']}: 01067 is 1067")
    for kind in ("UTC", "local"):
        if facts[kind] != base[kind]:
            losses.append(f"{kind} times are {facts[kind]}")
    return losses


_FACTS = (
    "SELECT (SELECT typeof(gross) FROM {table} LIMIT 1), (SELECT typeof(created_utc) FROM {table} LIMIT 1), "
    "(SELECT typeof(created) FROM {table} LIMIT 1), "
    f"(SELECT typeof({EMPTY_AND_NULL}) FROM {{table}} WHERE {EMPTY_AND_NULL} IS NOT NULL LIMIT 1), "
    f"(SELECT count(*) FROM {{table}} WHERE CAST({EMPTY_AND_NULL} AS VARCHAR) = ''), "
    f"(SELECT count(*) FROM {{table}} WHERE CAST({EMPTY_AND_NULL} AS VARCHAR) LIKE '0%' "
    f"AND length(CAST({EMPTY_AND_NULL} AS VARCHAR)) = 5)"
)
_NAMES = ("amount", "UTC", "local", "code", "empty", "zeros")


def _facts(database: Path, table: str) -> dict[str, Any]:
    with duckdb.connect(str(database), read_only=True) as connection:
        row = connection.execute(_FACTS.format(table=table)).fetchone()
    return dict(zip(_NAMES, row or (), strict=True))


def _facts_of_sqlite(database: Path) -> dict[str, Any]:
    with sqlite3.connect(database) as connection:
        row = connection.execute(_FACTS.format(table="report")).fetchone()
    return dict(zip(_NAMES, row, strict=True))


def comparison_table(lines: list[dict[str, Any]]) -> list[str]:
    """The lines as a table."""
    table = ["| way | rows a second | ratio | peak memory | loses |", "|---|---|---|---|---|"]
    for way in lines:
        if "skipped" in way:
            table.append(f"| {way['way']} | | | | not measured: {way['skipped']} |")
        else:
            loses = "; ".join(way["loses"]) or "nothing"
            table.append(
                f"| {way['way']} | {way['rows_per_second']:,} | {way['ratio']:g} | {way['peak_mb']:g} MB | {loses} |"
            )
    return table
