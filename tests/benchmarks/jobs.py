"""Cells as jobs: fetched by worker processes, then loaded; against the ideal, and against `load_reports`.

    python -m tests.benchmarks.jobs --months 36 --workers 8 --run-seconds 5

The ideal is what Stripe's runs take by themselves with so many workers: cells * run seconds / workers. The workers'
start is part of what is measured. `load_cells` is held against a `load_reports` of the same runs, which are all there.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from multiprocessing import get_context
from pathlib import Path
from typing import Any

REPORTS = (
    "balance.summary",
    "balance_change_from_activity.itemized",
    "payouts.itemized",
    "payout_reconciliation.itemized",
)
FIRST = date(2022, 1, 1)
Cells = list[dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """Where a process works: the emulator, and a folder.

    Args:
        settings: of the source.
        folder: of files, and of a pipeline's working folder and database, which are named by `name`.
    """

    settings: dict[str, Any]
    folder: Path
    name: str

    @property
    def source(self) -> Any:
        """The same in every process."""
        from stripe_reports_source import stripe_reports

        return stripe_reports(**self.settings)

    @property
    def pipeline(self) -> Any:
        """Into a DuckDB file."""
        import dlt

        destination = dlt.destinations.duckdb(str(self.folder / f"{self.name}.duckdb"))
        return dlt.pipeline(
            "jobs", destination=destination, dataset_name="stripe", pipelines_dir=str(self.folder / self.name)
        )


def main() -> None:
    """Print the measurements as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=36)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--run-seconds", type=float, default=5.0)
    asked = parser.parse_args()
    from stripe_reports_source.emulator import Emulator, EmulatorSettings

    end = datetime(FIRST.year + asked.months // 12, 1 + asked.months % 12, 1, tzinfo=timezone.utc)
    settings = EmulatorSettings(scale=0.1, business_start=FIRST, available_end=end, run_delay=asked.run_seconds)
    with Emulator(settings) as emulator, tempfile.TemporaryDirectory(prefix="stripe-reports-jobs-") as folder:
        source = {
            "reports": list(REPORTS),
            "start_date": FIRST.isoformat(),
            "api_key": settings.live_keys[0],
            "api_base_url": emulator.api_url,
            "files_base_url": emulator.files_url,
        }
        places = {name: Place(source, Path(folder), name) for name in ("jobs", "whole")}
        measured = _measured(places["jobs"], places["whole"], asked.workers)
        runs = len(emulator.runs)
    if runs != measured["cells"]:
        raise SystemExit(f"{runs} report runs were made for {measured['cells']} cells")
    ideal = measured["cells"] * asked.run_seconds / asked.workers
    ratios = {
        "fetch_against_ideal": round(measured["fetch_seconds"] / ideal, 3),
        "load_against_load_reports": round(
            measured["load"]["cpu_seconds"] / measured["load_reports"]["cpu_seconds"], 2
        ),
    }
    print(json.dumps({**vars(asked), "ideal_seconds": ideal, **measured, **ratios}))


def _measured(jobs: Place, whole: Place, workers: int) -> dict[str, Any]:
    cells: Cells = _in_a_process(_plan, jobs)["cells"]
    began = time.monotonic()
    with get_context("spawn").Pool(workers) as pool:
        files = pool.map(_fetch, [(jobs, cell) for cell in cells], chunksize=1)
    fetched = time.monotonic() - began
    load = _in_a_process(_load, jobs, files)
    again = _in_a_process(_load_reports, whole)
    if load["rows"] != again["rows"]:
        raise SystemExit(f"load_cells loaded {load['rows']} rows, load_reports {again['rows']}")
    return {"cells": len(cells), "fetch_seconds": round(fetched, 1), "load": load, "load_reports": again}


def _in_a_process(what: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What a function gives in a process of its own, with the seconds that it took, imports included."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (what, arguments))


def _timed(what: Callable[..., dict[str, Any]], arguments: Sequence[Any]) -> dict[str, Any]:
    os.environ.update(DLT_DATA_DIR=str(arguments[0].folder / "dlt"), RUNTIME__DLTHUB_TELEMETRY="false")
    began, before = time.monotonic(), time.process_time()
    found = what(*arguments)
    used = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - before}
    return {**found, **{name: round(value, 2) for name, value in used.items()}}


def _plan(place: Place) -> dict[str, Any]:
    from stripe_reports_source import plan_cells

    return {"cells": [cell.as_json() for cell in plan_cells(place.pipeline, place.source)]}


def _fetch(given: tuple[Place, dict[str, Any]]) -> dict[str, Any]:
    from stripe_reports_source import fetch_cell

    place, cell = given
    return fetch_cell(place.source, cell, place.folder / "fetched").as_json()


def _load(place: Place, files: Cells) -> dict[str, Any]:
    from stripe_reports_source import load_cells

    return {"rows": load_cells(place.pipeline, place.source, files).rows}


def _load_reports(place: Place) -> dict[str, Any]:
    from stripe_reports_source import load_reports

    return {"rows": load_reports(place.pipeline, place.source).rows}


if __name__ == "__main__":
    main()
