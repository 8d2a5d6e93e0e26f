"""The cases: what is loaded, what it is held against, which ratio is wanted.

Each case makes its own ground in a temporary folder, times whole processes in pairs, checks what was loaded, and
gives a dictionary: one line of JSON and one row of the table.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import duckdb

from ..conftest import postgres_server
from .big_stripe import KEY, MONTH_END, BigStripe
from .data import Written, write_report
from .measure import Measured, Pairs, at_once, by_stage, measure, megabytes, worker
from .postgres import day_into_table, load_and_copy
from .table import COLUMNS, REPORT, metadata_headers, reference_sql, sql_types
from .tie_out import COPY_ACTIVITY, SIX, Month, fill, months_from
from .verify import Wrong, check_load

if TYPE_CHECKING:
    from stripe_reports_source.emulator import Emulator, EmulatorSettings

FOUR_REPORTS = [
    "balance.summary",
    "balance_change_from_activity.itemized",
    "payouts.itemized",
    "payout_reconciliation.itemized",
]
FULL_ROWS = 10_000_000
"""Of the large load, at which the other cases have their full size."""
IN_FLIGHT = 8
RUN_SECONDS = 1.0
LONG_RUN_SECONDS = 6.0
WIDE = 200
LINK_BYTES = 25_000_000
"""A second."""
Result = dict[str, Any]


@dataclass
class Bench:
    """What the cases share: a folder, sizes, the server of large files, the files made so far."""

    folder: Path
    stripe: BigStripe
    rows: int
    pairs: int
    big_pairs: int
    runs: int
    profile: bool = False
    results: dict[str, Result] = field(default_factory=dict)
    _files: dict[tuple[int, int, int], Written] = field(default_factory=dict)

    @property
    def small_rows(self) -> int:
        """The rows of the smaller cases."""
        return max(1, self.rows // 5)

    def file(self, rows: int, version: int = 1, metadata: int = 0) -> Written:
        """A report file, written at its first use."""
        key = rows, version, metadata
        if key not in self._files:
            path = self.folder / f"report-{rows}-{version}-{metadata}.csv"
            self._files[key] = write_report(path, rows, version, metadata)
        return self._files[key]

    def drop(self, file: Written) -> None:
        """Give a file's disk space back."""
        file.path.unlink()
        self._files = {key: kept for key, kept in self._files.items() if kept is not file}

    def ground(self, name: str) -> Path:
        """An empty folder."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def reference(self, file: Written, *, ordered: bool = True) -> Measured:
        """DuckDB alone loads a file: as it comes, or at its best, for which the order of rows is not kept."""
        folder = self.ground("reference")
        database, sql = folder / "reference.duckdb", reference_sql(file.path, file.metadata)
        return measure(worker("reference", database=database, sql=sql, ordered=ordered), folder)

    def load(self, folder: Path, metadata: int = 0) -> Measured:
        """This package loads what the server has."""
        return measure(
            worker(
                "load",
                url=self.stripe.url,
                files_url=self.stripe.url,
                key=KEY,
                database=folder / "warehouse.duckdb",
                reports=[REPORT],
                columns=list(COLUMNS),
                metadata=metadata_headers(metadata),
            ),
            folder,
            profile=self.profile,
        )

    def check(self, ours: Path, file: Written) -> None:
        """Compare a load with the reference's last one."""
        check_load(ours / "warehouse.duckdb", self.folder / "reference" / "reference.duckdb", file)


@dataclass(frozen=True)
class Case:
    """A case, the largest figure that is good enough, and the one to aim at."""

    name: str
    title: str
    unit: str
    target: float
    aim: float | None
    run: Callable[[Bench], Result]
    needs: tuple[str, ...] = ()


def first_load(bench: Bench, rows: int, pairs: int) -> Result:
    """One large cell into a DuckDB file that is not there yet; DuckDB alone as it comes, and at its best."""
    file, best = bench.file(rows), Pairs()

    def as_it_comes() -> Measured:
        best.reference.append(bench.reference(file, ordered=False))
        return bench.reference(file)

    taken = Pairs().run(pairs, lambda: _load_checked(bench, file), as_it_comes)
    best.ours = taken.ours
    return {**_loaded(taken, file), "best": {**best.figures(), "rows": rows}}


def _load_checked(bench: Bench, file: Written, rate: float | None = None) -> Measured:
    """A load of a file into nothing, compared with the reference's last one."""
    folder = bench.ground("ours")
    bench.stripe.publish(file.path, rate=rate)
    measured = bench.load(folder, file.metadata)
    bench.check(folder, file)
    return measured


def load_against_best(bench: Bench) -> Result:
    """The first load of all rows, against DuckDB that does not keep their order."""
    best = bench.results["load"]["best"]
    return {**_ratio(best), "rows": best["rows"]}


def wide_memory(bench: Bench) -> Result:
    """The first load of a fiftieth of the rows, in 200 columns: its peak memory."""
    file = bench.file(max(1, bench.rows // 50), metadata=WIDE - len(COLUMNS))
    taken = Pairs().run(1, lambda: _load_checked(bench, file), lambda: bench.reference(file))
    bench.drop(file)
    result = _loaded(taken, file)
    return {**result, "value": result["peak_mb"]}


def slow_link(bench: Bench) -> Result:
    """A first load over a link of 25 MB a second, against the file's bare download over it."""
    file = bench.file(bench.small_rows)
    bench.reference(file)

    def download() -> Measured:
        folder = bench.ground("download")
        bench.stripe.publish(file.path, rate=LINK_BYTES)
        measured = measure(worker("download", url=bench.stripe.url, path=folder / "report.csv"), folder)
        if (folder / "report.csv").stat().st_size != file.bytes:
            raise Wrong("the bare download is not the whole file")
        return measured

    return _loaded(Pairs().run(bench.pairs, lambda: _load_checked(bench, file, LINK_BYTES), download), file)


def against_pandas(bench: Bench) -> Result:
    """Small first loads, against pandas into dlt from a file that is there: the worst of three sizes."""
    return _worst(bench, [bench.rows // part for part in (10_000, 500, 50)], "pandas_dlt")


def against_arrow(bench: Bench) -> Result:
    """First loads, against typed Arrow batches that dlt appends, from a file that is there: the worse of two sizes."""
    return _worst(bench, [bench.rows // 10, bench.small_rows], "arrow_dlt", types=sql_types())


def _worst(bench: Bench, sizes: Sequence[int], way: str, **arguments: Any) -> Result:
    """The largest ratio of a load's time to that of another way, of several sizes."""
    results = {}
    for rows in (max(1, size) for size in sizes):
        file = bench.file(rows)
        bench.reference(file)

        def other(path: Path = file.path) -> Measured:
            folder = bench.ground("other")
            database = folder / "other.duckdb"
            return measure(worker(way, csv_file=path, database=database, table="report", **arguments), folder)

        results[rows] = _ratio(Pairs().run(bench.pairs, partial(_load_checked, bench, file), other).figures())
    worst = max(results, key=lambda rows: results[rows]["ratio"])
    return {**results[worst], "rows": worst, "ratios": {rows: result["ratio"] for rows, result in results.items()}}


def large_load(bench: Bench) -> Result:
    """The first load of all rows; the file is removed after it."""
    result = first_load(bench, bench.rows, bench.big_pairs)
    bench.drop(bench.file(bench.rows))
    return result


def small_load(bench: Bench) -> Result:
    """The first load of a fifth of the rows."""
    return first_load(bench, bench.small_rows, bench.pairs)


def replace_cell(bench: Bench) -> Result:
    """The month has got on by a day: its cell is run again and replaced by the restated file."""
    old, new = bench.file(bench.small_rows), bench.file(bench.small_rows, version=2)
    loaded = bench.ground("loaded")
    bench.stripe.publish(old.path, MONTH_END - 86_400)
    bench.load(loaded)
    bench.reference(old)
    bench.check(loaded, old)

    def ours() -> Measured:
        shutil.rmtree(bench.folder / "ours", ignore_errors=True)
        shutil.copytree(loaded, bench.folder / "ours")
        bench.stripe.publish(new.path, MONTH_END)
        measured = bench.load(bench.folder / "ours")
        bench.check(bench.folder / "ours", new)
        return measured

    taken = Pairs().run(bench.pairs, ours, lambda: bench.reference(new))
    shutil.rmtree(loaded)
    bench.drop(new)
    return _loaded(taken, new)


def peak_memory(bench: Bench) -> Result:
    """Of the first loads that were measured; the largest of each counts."""
    large, small = bench.results["load"], bench.results["small-load"]
    return {
        "value": large["peak_mb"],
        "rows": large["rows"],
        "small_rows": small["rows"],
        "small_peak_mb": small["peak_mb"],
        "growth": round(large["peak_mb"] / small["peak_mb"], 2),
        "reference_peak_mb": large["reference_peak_mb"],
        "verified": True,
    }


def start_up(bench: Bench) -> Result:
    """Importing the package, against importing dlt, which it cannot do without."""
    folder = bench.ground("imports")

    def importing(module: str) -> Callable[[], Measured]:
        return lambda: measure([sys.executable, "-c", f"import {module}"], folder)

    ours, reference = importing("stripe_reports_source"), importing("dlt")
    Pairs().run(1, ours, reference)  # writes and reads in bytecode
    return _ratio(Pairs().run(3 * bench.pairs, ours, reference).figures())


def nothing_new(bench: Bench) -> Result:
    """A sync of four reports that are up to date, against a run of a dlt pipeline that has nothing to load."""
    from stripe_reports_source.emulator import EmulatorSettings

    ours, empty = bench.ground("ours"), bench.ground("reference")
    with _emulator(EmulatorSettings()) as emulator:

        def sync() -> Measured:
            return measure(_sync(emulator, ours / "warehouse.duckdb", FOUR_REPORTS), ours)

        def idle(rows: int = 0) -> Measured:
            return measure(worker("empty", database=empty / "warehouse.duckdb", rows=rows), empty)

        Pairs().run(1, sync, lambda: idle(rows=1))
        runs, requests = len(emulator.runs), len(emulator.requests)
        taken = Pairs().run(bench.pairs, sync, idle)
        per_sync = (len(emulator.requests) - requests) / bench.pairs
        if len(emulator.runs) != runs:
            raise Wrong(f"{len(emulator.runs) - runs} runs were created although nothing is new")
    return {**_ratio(taken.figures()), "requests_per_sync": per_sync}


def many_runs(bench: Bench) -> Result:
    """Many small runs that take a second each at Stripe: the makespan of `load_reports`, against the ideal one."""
    from stripe_reports_source.emulator import EmulatorSettings

    first = date(2025, 1, 1)
    start = datetime(first.year, first.month, first.day, tzinfo=timezone.utc)
    settings = EmulatorSettings(
        scale=0.2, business_start=first, available_end=start + timedelta(days=bench.runs), run_delay=RUN_SECONDS
    )
    seconds, whole, polls = [], [], []
    for _ in range(bench.pairs):
        folder = bench.ground("ours")
        with _emulator(settings) as emulator:
            command = _sync(
                emulator, folder / "warehouse.duckdb", FOUR_REPORTS[1:2], interval="day", in_flight=IN_FLIGHT
            )
            measured = measure(command, folder)
            _check_many(emulator, folder / "warehouse.duckdb", bench.runs)
            asked = sum(request.method == "GET" and "report_runs/" in request.path for request in emulator.requests)
        seconds.append(float(measured.said["load_reports_seconds"]))
        whole.append(measured)
        polls.append(asked / bench.runs)
    ideal = bench.runs * RUN_SECONDS / IN_FLIGHT
    makespan = statistics.median(seconds)
    return {
        "value": round(makespan / ideal, 2),
        "runs": bench.runs,
        "in_flight": IN_FLIGHT,
        "seconds": round(makespan, 2),
        "reference_seconds": ideal,
        "process_seconds": round(statistics.median(process.seconds for process in whole), 2),
        "import_seconds": round(statistics.median(process.said["import_seconds"] for process in whole), 2),
        "polls_per_run": round(max(polls), 1),
        "peak_mb": megabytes(whole),
        "verified": True,
    }


def daily_cells(bench: Bench) -> Result:
    """Many daily cells of four reports whose runs take no time: processor time for each cell, start-up included."""
    from stripe_reports_source.emulator import EmulatorSettings

    first = date(2022, 1, 1)
    start = datetime(first.year, first.month, first.day, tzinfo=timezone.utc)
    days = max(1, 1_095 * bench.rows // FULL_ROWS)
    settings = EmulatorSettings(scale=0.2, business_start=first, available_end=start + timedelta(days=days))
    taken = []
    for _ in range(bench.big_pairs):
        folder = bench.ground("ours")
        with _emulator(settings) as emulator:
            command = _sync(emulator, folder / "warehouse.duckdb", FOUR_REPORTS, interval="day", in_flight=IN_FLIGHT)
            taken.append(measure(command, folder))
            cells = len(emulator.runs)
        with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
            found = connection.execute("SELECT count(*), count(DISTINCT run_id) FROM stripe.report_cells").fetchone()
        if found != (cells, cells) or cells != days * len(FOUR_REPORTS):
            raise Wrong(f"{days} days of four reports were wanted; {found} cells were loaded of {cells} runs")
    processor = statistics.median(process.cpu_seconds for process in taken)
    return {
        "value": round(1_000 * processor / cells, 1),
        "runs": cells,
        "cpu_seconds": round(processor, 2),
        "seconds": round(statistics.median(process.seconds for process in taken), 2),
        "peak_mb": megabytes(taken),
        "verified": True,
    }


def side_by_side(bench: Bench) -> Result:
    """A process for each of four months, all at once on one DuckDB file, against one call for all of them."""
    from stripe_reports_source.emulator import EmulatorSettings

    days = [f"2025-{month:02}-01" for month in range(1, 6)]
    months = list(pairwise(days))
    settings = EmulatorSettings(
        scale=0.2,
        business_start=date(2025, 1, 1),
        available_end=datetime(2025, 5, 2, tzinfo=timezone.utc),
        run_delay=LONG_RUN_SECONDS,
    )

    def load(windows: Sequence[tuple[str, str]], *, one_pipeline: bool) -> Measured:
        folder = bench.ground("ours")
        database = folder / "warehouse.duckdb"
        with _emulator(settings) as emulator:
            loads = []
            for number, window in enumerate(windows):
                where = {"pipelines": folder / "pipelines", "name": "benchmark" if one_pipeline else f"month{number}"}
                command = _sync(emulator, database, FOUR_REPORTS[1:2], days=window, **where)
                loads.append((command, folder / f"process{number}"))
            if one_pipeline:
                # dlt empties the folder of a pipeline that it makes: of two that make it at once, one may fail
                dlt.pipeline("benchmark", pipelines_dir=str(folder / "pipelines"))
            measured = at_once(loads)
            with duckdb.connect(str(database), read_only=True) as connection:
                found = connection.execute("SELECT count(*), count(DISTINCT run_id) FROM stripe.report_runs").fetchone()
            if found != (len(months), len(months)) or len(emulator.runs) != len(months):
                raise Wrong(f"four runs, each loaded once, were wanted; {found} were loaded of {len(emulator.runs)}")
        return measured

    def all_in_one() -> Measured:
        return load([(days[0], days[-1])], one_pipeline=True)

    all_in_one()  # writes and reads in bytecode
    taken = Pairs().run(bench.pairs, lambda: load(months, one_pipeline=True), all_in_one)
    others = Pairs().run(bench.pairs, lambda: load(months, one_pipeline=False), all_in_one)
    return {**_ratio(taken.figures()), "runs": len(months), "by_pipelines_of_their_own": others.figures()["ratio"]}


def tie_out(bench: Bench) -> Result:
    """The checks after a load of one month, against loading its rows; and a look at all, against copying a table."""
    rows, months = max(1, bench.rows // 10), months_from(date(2024, 1, 1), 2)
    folder, file = bench.ground("dataset"), bench.file(2 * rows)
    database = folder / "warehouse.duckdb"
    _make_dataset(folder, months, rows)
    bench.stripe.publish(file.path)

    def load() -> Measured:
        return bench.load(bench.ground("ours"))

    def copy() -> Measured:
        return measure(worker("reference", database=database, sql=COPY_ACTIVITY), folder)

    def look(**scope: Any) -> Measured:
        measured = measure(worker("tie_out", database=database, **scope), folder)
        statuses = measured.said["statuses"]
        if statuses.get("variance") or statuses.get("stale") or statuses.get("tied", 0) < 20:
            raise Wrong(f"a dataset that ties was found to have {statuses}")
        return measured

    taken = Pairs().run(bench.pairs, lambda: look(cells=[months[-1].cell]), load)
    whole = Pairs().run(bench.pairs, look, copy)
    bench.drop(file)
    of_look = statistics.median(process.said["look_seconds"] for process in taken.ours)
    of_load = statistics.median(process.said["load_reports_seconds"] for process in taken.reference)
    return {
        **_ratio(taken.figures()),
        "value": round(of_look / of_load, 2),
        "rows": 2 * rows,
        "look_seconds": of_look,
        "load_seconds": of_load,
        "whole_against_copying": whole.figures()["ratio"],
        "whole_peak_mb": megabytes(whole.ours),
    }


def postgres_load(bench: Bench) -> Result:
    """The first load of a twentieth of the rows into PostgreSQL: processor time against COPY of the file."""
    with postgres_server() as address:
        return load_and_copy(address, bench.stripe, bench.file(bench.rows // 20), bench.pairs, bench.ground)


def postgres_day(bench: Bench) -> Result:
    """A cell of 1,000 rows into a PostgreSQL table with half of the rows, against one with a thousandth of that."""
    rows = bench.rows // 2
    with postgres_server() as address:
        return day_into_table(
            address, bench.stripe, bench.file(1_000), (rows, rows // 1_000), bench.pairs, bench.ground
        )


def _make_dataset(folder: Path, months: Sequence[Month], rows: int) -> None:
    """Tables as a small load makes them, with rows of our own."""
    from stripe_reports_source.emulator import EmulatorSettings

    database = folder / "warehouse.duckdb"
    end = datetime(2025, 1, 4, tzinfo=timezone.utc)
    with _emulator(EmulatorSettings(scale=0.1, business_start=date(2025, 1, 1), available_end=end)) as emulator:
        measure(_sync(emulator, database, SIX, pipelines=folder / "pipelines"), folder)
    fill(database, months, rows)


def _check_many(emulator: Emulator, database: Path, runs: int) -> None:
    settings = emulator.settings
    name = next(run.report_type for run in emulator.runs)
    truth = emulator.truth(name, settings.first_available, settings.available_end, columns=["gross"])
    expected = (len(truth), sum((Decimal(str(row[0])) for row in truth), Decimal(0)))
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute(
            "SELECT count(*), sum(gross) FROM stripe.balance_change_from_activity_itemized"
        ).fetchone()
    if found != expected or len(emulator.runs) != runs:
        raise Wrong(f"{expected} in {runs} runs were wanted, {found} in {len(emulator.runs)} came")


def _sync(emulator: Emulator, database: Path, reports: list[str], **options: Any) -> list[str]:
    return worker(
        "load",
        url=emulator.api_url,
        files_url=emulator.files_url,
        key=emulator.settings.live_keys[0],
        database=database,
        reports=reports,
        **options,
    )


@contextmanager
def _emulator(settings: EmulatorSettings) -> Iterator[Emulator]:
    """The project's emulator, in this process: the measured ones are others."""
    from stripe_reports_source.emulator import Emulator

    with Emulator(settings) as emulator:
        yield emulator


def _loaded(taken: Pairs, file: Written) -> Result:
    stages = by_stage(taken.ours[-1])
    return {**_ratio(taken.figures()), "rows": file.rows, "bytes": file.bytes, "stages_of_last": stages}


def _ratio(figures: Result) -> Result:
    return {"value": figures["ratio"], **figures, "verified": True}


CASES = (
    Case("load", "first load, against DuckDB as it comes", "times", 1.3, 1.1, large_load),
    Case(
        "load-best",
        "first load, against DuckDB at its best (order not kept)",
        "times",
        1.9,
        1.6,
        load_against_best,
        ("load",),
    ),
    Case("small-load", "first load, against DuckDB as it comes", "times", 1.5, None, small_load),
    Case("replace", "replacing a cell with changed data", "times", 1.6, None, replace_cell),
    Case("memory", "peak memory of the whole process", "MB", 400, None, peak_memory, ("load", "small-load")),
    Case("wide", "peak memory with 200 columns", "MB", 500, None, wide_memory),
    Case("slow-link", "first load over 25 MB/s, against the bare download", "times", 1.15, None, slow_link),
    Case("pandas", "first load, against pandas into dlt", "times", 1.0, None, against_pandas),
    Case("arrow", "first load, against typed Arrow batches appended by dlt", "times", 0.85, None, against_arrow),
    Case("start-up", "import, against `import dlt`", "times", 1.15, None, start_up),
    Case(
        "nothing-new",
        "sync of four reports with nothing new, against an empty dlt run",
        "times",
        1.5,
        None,
        nothing_new,
    ),
    Case(
        "many-runs",
        "runs of 1 s, 8 in flight: `load_reports` against the ideal makespan",
        "times",
        1.10,
        None,
        many_runs,
    ),
    Case("daily-cells", "daily cells of four reports, processor time a cell", "ms", 15, None, daily_cells),
    Case(
        "side-by-side",
        "four processes on one DuckDB file, a month and a run of 6 s each, against one call for all",
        "times",
        1.5,
        None,
        side_by_side,
    ),
    Case("postgres-load", "PostgreSQL: processor time of a first load, against COPY", "times", 3, None, postgres_load),
    Case(
        "postgres-day",
        "PostgreSQL: a small cell into a large table, against a small one",
        "times",
        1.3,
        None,
        postgres_day,
    ),
    Case("tie-out", "the proof after a load of one month, against that load", "times", 0.33, None, tie_out),
)
