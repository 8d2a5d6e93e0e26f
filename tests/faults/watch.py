"""A reader beside the load, in the same process, because DuckDB lets no other one in."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.store import Store

PAUSE = 0.02


@contextlib.contextmanager
def watching(store: Store, reports: Sequence[str], sightings: Path) -> Iterator[None]:
    """Look at the reports' tables all the time, and write down what is new, a JSON line each."""
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(store, reports, sightings, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _watch(store: Store, reports: Sequence[str], sightings: Path, stop: threading.Event) -> None:
    seen: set[str] = set()
    known: dict[str, set[str]] = {}
    while not store.is_there and not stop.wait(PAUSE):
        pass
    if stop.is_set():
        return
    with sightings.open("a") as out, store.session() as read:
        while not stop.wait(PAUSE):
            for table in (report.replace(".", "_") for report in reports):
                try:
                    rows = read(
                        "SELECT _interval_key, count(*), count(DISTINCT _report_run_id), min(_report_run_id) "
                        f"FROM {store.table(table)} GROUP BY 1"
                    )
                except Exception:  # the table is not there yet
                    continue
                keys = {row[0] for row in rows}
                gone = known.get(table, set()) - keys
                known[table] = keys | gone
                for line in map(json.dumps, [*map(list, rows), *([key, 0, 0, None] for key in gone)]):
                    if line not in seen:
                        seen.add(line)
                        out.write(line + "\n")
                        out.flush()
