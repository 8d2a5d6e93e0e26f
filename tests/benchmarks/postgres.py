"""PostgreSQL: processor time of client and server against a plain COPY of the file, and a small cell in a large table.

The server is an embedded one on a socket. What it spends is the time of its processes, those that have ended included.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2

from .big_stripe import KEY, MONTH_END, BigStripe
from .data import Written
from .measure import Measured, Pairs, measure, worker
from .table import AMOUNTS, COLUMNS, REPORT, TABLE, sql_types
from .verify import Wrong

MONTH = "2025-03-01"
"""Of the file."""
MONTHS = 60
"""Before it, that a table has rows of."""
_SQL_TYPES = {"VARCHAR": "text", "TIMESTAMP WITH TIME ZONE": "timestamptz", "BOOLEAN": "boolean"}


def load_and_copy(
    address: str, stripe: BigStripe, file: Written, pairs: int, ground: Callable[[str], Path]
) -> dict[str, Any]:
    """The first load of a file, against `COPY` of it into a table of the same types.

    Args:
        address: of an empty database.
        stripe: serves the file.
        file: the report.
        pairs: how many measurements.
        ground: gives empty folders.
    """
    types = {name: _SQL_TYPES.get(type_, type_) for name, type_ in sql_types().items()}
    table = ", ".join(f"{name} {type_}" for name, type_ in types.items())

    def ours() -> Measured:
        _execute(address, "DROP SCHEMA IF EXISTS stripe CASCADE", "DROP SCHEMA IF EXISTS stripe_staging CASCADE")
        stripe.publish(file.path)
        measured = _with_server(address, lambda: _load(address, stripe, ground("ours")))
        theirs, stored = _facts(address, "copied"), _facts(address, f"stripe.{TABLE}")
        if theirs != stored or stored[0] != file.rows:
            raise Wrong(f"values of COPY and of the load differ: {theirs} and {stored}")
        return measured

    def copy() -> Measured:
        _execute(address, "DROP TABLE IF EXISTS copied", f"CREATE TABLE copied ({table})")
        command = worker("copy", address=address, table="copied", csv_file=file.path)
        return _with_server(address, lambda: measure(command, ground("reference")))

    figures = Pairs().run(pairs, ours, copy).figures()
    ratio = round(figures["cpu_seconds"] / figures["reference_cpu_seconds"], 2)
    return {**figures, "value": ratio, "rows": file.rows, "bytes": file.bytes, "verified": True}


def day_into_table(
    address: str, stripe: BigStripe, file: Written, rows: Sequence[int], pairs: int, ground: Callable[[str], Path]
) -> dict[str, Any]:
    """A cell of a few rows is replaced in a large table, against the same in a small one.

    Args:
        address: of an empty database.
        stripe: serves the file.
        file: the cell's rows.
        rows: of the large table and of the small one, in other cells.
        pairs: how many measurements.
        ground: gives empty folders.
    """
    loads = {}
    for number, dataset in enumerate(("large", "small")):
        folder = ground(dataset)
        stripe.publish(file.path, MONTH_END - (pairs + 2) * 3_600)
        _load(address, stripe, folder, dataset)
        _execute(address, *_earlier_months(dataset, rows[number] // file.rows))

        def load(dataset: str = dataset, folder: Path = folder, hours: list[int] = [pairs + 1]) -> Measured:  # noqa: B006
            hours[0] -= 1
            stripe.publish(file.path, MONTH_END - hours[0] * 3_600)
            measured = _with_server(address, lambda: _load(address, stripe, folder, dataset))
            found = _facts(address, f"{dataset}.{TABLE} WHERE _interval_day = DATE '{MONTH}'")
            if found[:3] != (file.rows, file.gross, file.fee):
                raise Wrong(f"{file.rows} rows of the cell were wanted; there are {found[0]}")
            return measured

        loads[dataset] = load
    Pairs().run(1, loads["large"], loads["small"])
    figures = Pairs().run(pairs, loads["large"], loads["small"]).figures()
    ratio = round(figures["cpu_seconds"] / figures["reference_cpu_seconds"], 2)
    return {**figures, "value": max(ratio, figures["ratio"]), "rows": rows[0], "small_table": rows[1], "verified": True}


def _earlier_months(dataset: str, turns: int) -> list[str]:
    """Statements that put so many times the rows of the loaded month into months before it, and into the ledger."""
    before = f"make_interval(months => turn % {MONTHS} + 1)"
    month = f"DATE '{MONTH}' - {before}"
    times = [name for name, type_ in sql_types().items() if type_.startswith("TIMESTAMP")]
    columns = (*COLUMNS, "_account", "_report_type", "_report_run_id", "_dlt_load_id")
    moved = [
        f"{COLUMNS[0]} || '_' || turn" if name == COLUMNS[0] else f"{name} - {before}" if name in times else name
        for name in columns
    ]
    key, rows = f"replace(_interval_key, '{MONTH}', to_char({month}, 'YYYY-MM-DD'))", f"{dataset}.{TABLE}"
    return [
        f"INSERT INTO {rows} ({', '.join(columns)}, _interval_key, _interval_day, _interval_start, _interval_end) "
        f"SELECT {', '.join(moved)}, {key}, {month}, {month}, {month} + make_interval(months => 1) "
        f"FROM {rows}, generate_series(1, {turns}) AS turns(turn)",
        f"INSERT INTO {dataset}.report_cells (table_name, account, interval_key, report_type, interval_day, "
        "interval_start, interval_end, whole_end, complete, data_available_end, _dlt_load_id) "
        f"SELECT table_name, account, {key.replace('_interval_key', 'interval_key')}, report_type, {month}, {month}, "
        f"{month} + make_interval(months => 1), {month} + make_interval(months => 1), true, data_available_end, "
        f"_dlt_load_id FROM {dataset}.report_cells, generate_series(1, {min(turns, MONTHS)}) AS turns(turn)",
        f"VACUUM (ANALYZE) {rows}",
    ]


def _load(address: str, stripe: BigStripe, folder: Path, dataset: str = "stripe") -> Measured:
    command = worker(
        "load",
        url=stripe.url,
        files_url=stripe.url,
        key=KEY,
        database=address,
        dataset=dataset,
        reports=[REPORT],
        columns=list(COLUMNS),
    )
    return measure(command, folder)


def _with_server(address: str, process: Callable[[], Measured]) -> Measured:
    """A process's measurements, with the processor time of the server meanwhile."""
    begun = _server_seconds(address)
    measured = process()
    server = _server_seconds(address) - begun
    said = {**measured.said, "client_cpu_seconds": measured.cpu_seconds}
    return replace(measured, cpu_seconds=measured.cpu_seconds + server, said=said)


def _server_seconds(address: str) -> float:
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT pg_backend_pid()")
        backend = int((cursor.fetchone() or (0,))[0])
        postmaster = int(_stat(backend)[1])
    # the server's own last: what has ended meanwhile is counted there
    children = sum(sum(map(int, fields[11:13])) for fields in _stats() if int(fields[1]) == postmaster)
    return (children + sum(map(int, _stat(postmaster)[11:15]))) / os.sysconf("SC_CLK_TCK")


def _stats() -> Iterator[list[str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has just ended
                yield _stat(int(folder.name))


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: state, parent; user and system time, of itself and its ended."""
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _facts(address: str, source: str) -> tuple[Any, ...]:
    """Rows, sums, and a hash of all values that does not depend on their order."""
    sums = ", ".join(f"sum({name})" for name in AMOUNTS)
    row = ", ".join(f"{name}::text" if name not in AMOUNTS else f"{name}::numeric(38, 9)::text" for name in COLUMNS)
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute(f"SELECT count(*), {sums}, sum(hashtextextended(concat_ws('|', {row}), 0)) FROM {source}")
        return cursor.fetchone() or ()


def _execute(address: str, *statements: str) -> None:
    with closing(psycopg2.connect(address)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
