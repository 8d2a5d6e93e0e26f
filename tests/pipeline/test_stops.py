"""Every stop that can be foreseen: what is said, what goes on all the same, and that the next sync loads all.

A row of the table spoils something, says how the sentence begins that a user reads, and which reports are loaded in
spite of it. Once the spoiling is undone, a sync loads everything.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import multiprocessing
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests
from dlt import Pipeline

from stripe_reports_source import (
    AuthenticationError,
    ConfigurationError,
    PermissionDenied,
    Report,
    StripeReportsError,
    SyncFailed,
    load_reports,
)
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.errors import DestinationBusy, NotOffered, WorkingFolderError
from stripe_reports_source.sync.progress import Event
from stripe_reports_source.warehouse.duckdb_patience import PatientSqlClient
from tests.conftest import FIRST_OF_BOTH, source_of
from tests.pipeline.truth import assert_true

SPOILED, OTHER = "payouts.itemized", "balance.summary"
OFFERED = {SPOILED: "payouts.itemized.3", OTHER: "balance.summary.1"}
FAST: Mapping[str, Any] = {
    "retry_policy": {"first_delay": 0.001, "attempts": 2, "pages": 3},
    "run_policy": {"first_poll": 0.001, "retry_delay": 0.001},
}
KEYS = ("rk_live_demo", "rk_test_demo", "rk_live_none")
SECRET_VALUE = "Zoe Quast, 7 Elm Road, zoe@example.org"


@dataclass
class World:
    """What a row may spoil. `undo` is called before the next sync, and does what the sentence says is to be done."""

    emulator: Emulator
    pipeline: Pipeline
    monkeypatch: pytest.MonkeyPatch
    undo: ExitStack
    reports: list[str | Report] = field(default_factory=lambda: [SPOILED, OTHER])
    settings: dict[str, Any] = field(default_factory=dict)
    on_event: Callable[[Event], None] | None = None

    def load(self, **settings: Any) -> None:
        """Load both reports, or what the row has made of them."""
        source = source_of(self.emulator, self.reports, **{**FAST, **self.settings, **settings})
        load_reports(self.pipeline, source, on_event=self.on_event)

    def at(self, kind: str, spoil: Callable[[str], None]) -> None:
        """Spoil the run that an event about the spoiled report names; each run once."""
        seen: set[str] = set()

        def hear(event: Event) -> None:
            if (event.kind, event.table) == (kind, _table(SPOILED)) and event.run_id and event.run_id not in seen:
                seen.add(event.run_id)
                spoil(event.run_id)

        self.on_event = hear


Spoil = Callable[[World], None]


@dataclass(frozen=True)
class Stop:
    """A row of the table.

    Args:
        name: of the stop.
        spoil: brings it about.
        says: how the error, each line of a `SyncFailed`, or the warning begins; a regular expression.
        error: what is raised; None where everything is loaded, and a warning is all there is.
        goes_on: the reports that are loaded all the same.
        loaded_before: True if all was loaded before, and there is a new day.
        most: characters that the sentence and what is to be done may have.
    """

    name: str
    spoil: Spoil
    says: str
    error: type[StripeReportsError] | None = SyncFailed
    goes_on: tuple[str, ...] = (OTHER,)
    loaded_before: bool = False
    most: int = 300


def _table(report: str) -> str:
    return report.replace(".", "_")


def with_settings(**settings: Any) -> Spoil:
    return lambda world: world.settings.update(settings)


def with_fault(**fault: Any) -> Spoil:
    return lambda world: world.emulator.add_fault(Fault(**fault))


def with_altered(identity: str, **how: Any) -> Spoil:
    return lambda world: world.emulator.alter(identity, **how)


def with_key(kind: str) -> Spoil:
    return lambda world: world.settings.update(api_key=getattr(world.emulator.settings, kind)[0])


def with_file_fault(**fault: Any) -> Spoil:
    """The spoiled report's files answer with a fault."""

    def spoil(world: World) -> None:
        def strike(run_id: str) -> None:
            path = f"file_{run_id.removeprefix('frr_')}/"
            world.emulator.add_fault(Fault(address="files", path=path, times=None, **fault))

        world.at("downloading", strike)

    return spoil


def with_run(**fields: Any) -> Spoil:
    """The spoiled report's runs are sent with other fields."""
    return lambda world: world.at("running", lambda run_id: world.emulator.alter(run_id, fields))


def with_content(change: Callable[[str], str]) -> Spoil:
    """The spoiled report's files have another content of the same size."""

    def spoil(world: World) -> None:
        def rewrite(run_id: str) -> None:
            [path] = [run.file for run in world.emulator.runs if run.id == run_id]
            kept = path.read_bytes()
            changed = change(kept.decode()).encode()
            assert len(changed) <= len(kept)
            path.write_bytes(changed + b"\n" * (len(kept) - len(changed)))
            world.undo.callback(path.write_bytes, kept)

        world.at("downloading", rewrite)

    return spoil


def with_a_value(text: str) -> str:
    """The first row with an amount that is a customer's data, in a file of the same size."""
    rows = list(csv.reader(io.StringIO(text)))
    rows[1][rows[0].index("gross")] = SECRET_VALUE
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerows(rows)
    return out.getvalue()


def with_sql(statement: str) -> Spoil:
    def spoil(world: World) -> None:
        with world.pipeline.sql_client() as client:
            client.execute_sql(statement.format(dataset=world.pipeline.dataset_name))

    return spoil


def run_of_another(world: World) -> str:
    """Somebody else with the same key has a run; returns its id."""
    form = {"report_type": OFFERED[OTHER], "parameters[currency]": "eur"}
    form |= {"parameters[interval_start]": "1735689600", "parameters[interval_end]": "1738368000"}
    address = f"{world.emulator.api_url}/v1/reporting/report_runs"
    made = requests.post(address, form, auth=(world.emulator.settings.live_keys[0], ""), timeout=60).json()
    return str(made["id"])


def odd_run_of_another(world: World) -> None:
    """Its status is one that nobody knows."""
    world.emulator.alter(run_of_another(world), {"status": "paused"})


def endless_list(world: World) -> None:
    """The list of runs says after each page that there is more."""
    run_of_another(world)
    world.emulator.add_fault(Fault("endless", method="GET", path=r"report_runs\?", times=None))


def folder_is_a_file(world: World) -> None:
    folder = Path(world.pipeline.pipelines_dir)
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.touch()

    def put_back() -> None:
        folder.unlink()
        kept.rename(folder)

    world.undo.callback(put_back)


def schema_is_cut(world: World) -> None:
    for path in Path(world.pipeline.working_dir).glob("schemas/*.json"):
        path.write_bytes(path.read_bytes()[:100])


def hold_open(database: str, opened: Any, close: Any) -> None:
    with duckdb.connect(database):
        opened.set()
        close.wait(100)


def database_is_open(world: World) -> None:
    forks = multiprocessing.get_context("fork")
    opened, close = forks.Event(), forks.Event()
    database = str(Path(world.pipeline.pipelines_dir).with_name("reports.duckdb"))
    holder = forks.Process(target=hold_open, args=(database, opened, close))
    holder.start()
    world.undo.callback(holder.join)
    world.undo.callback(close.set)
    assert opened.wait(60)
    world.monkeypatch.setattr(PatientSqlClient, "patience", 0.0)


def listener_fails(world: World) -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError("no terminal")

    world.on_event = fail


def column_is_dropped(world: World) -> None:
    with_sql("ALTER TABLE {dataset}.payouts_itemized DROP COLUMN gross")(world)

    def as_written() -> None:
        world.pipeline.refresh = "drop_resources"

    world.undo.callback(as_written)


def stuck(world: World) -> None:
    with_run(status="pending", result=None)(world)
    world.settings["run_policy"] = {**FAST["run_policy"], "timeout": 0.3}


def with_other_grid(world: World) -> None:
    world.reports[0] = Report(SPOILED, interval="day")


def stripe_error(message: str) -> str:
    return json.dumps({"error": {"type": "invalid_request_error", "message": message}})


def failed(report: str, says: str = "") -> str:
    """How the line of a cell that failed begins."""
    cell = r"\[2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z\), run frr_\w+"
    return rf"{re.escape(OFFERED[report])} \[default\] {cell}: {says}"


EITHER = r"(payouts\.itemized|balance\.summary)(\.\d)? \[default\] \[2025[^ ]+ [^ ]+\): "
NOTHING: tuple[str, ...] = ()
ALL = (SPOILED, OTHER)

STOPS = [
    Stop("key wrong", with_settings(api_key="rk_live_wrong"), "Stripe: Invalid API Key", AuthenticationError, NOTHING),
    Stop(
        "key without permission",
        with_key("powerless_keys"),
        "Stripe: The provided key .* does not have the required permissions",
        PermissionDenied,
        NOTHING,
        most=400,  # Stripe's own sentence has 190 of them
    ),
    Stop(
        "key that may list, but not run",
        with_fault(action="status", method="POST", times=None, status=403, body=stripe_error("You may not do this.")),
        EITHER + r"Stripe: You may not do this\. The key needs",
        goes_on=NOTHING,
    ),
    Stop(
        "report never offered",
        with_altered(OFFERED[SPOILED], hidden=True),
        r"report 'payouts\.itemized' is not offered to this account or key",
        NotOffered,
        NOTHING,
    ),
    Stop(
        "report no longer offered",
        with_altered(OFFERED[SPOILED], hidden=True),
        r"payouts\.itemized \[default\] all intervals: report 'payouts\.itemized' is not offered",
        loaded_before=True,
    ),
    Stop(
        "report's type unreadable",
        with_altered(OFFERED[SPOILED], absent=["data_available_end"]),
        r"payouts\.itemized \[default\] all intervals: report 'payouts\.itemized\.3' is offered, but cannot be used",
    ),
    Stop(
        "odd type that nobody asked for",
        with_altered("odd.things.1", fields={"data_available_start": "soon"}),
        r"1 report type\(s\) of Stripe's list skipped; the first: .*'odd\.things\.1'",
        None,
        ALL,
    ),
    Stop(
        "odd run of somebody else",
        odd_run_of_another,
        r"1 report run\(s\) of Stripe's list skipped; the first: .*'paused' is not",
        None,
        ALL,
    ),
    Stop("endless list", endless_list, EITHER + "Stripe", goes_on=NOTHING),
    Stop(
        "error that Stripe keeps",
        with_fault(action="kept_error", method="POST", status=500, body=stripe_error("Something went wrong.")),
        r"\S+: Stripe keeps an error under an idempotency key: Stripe: Something went wrong\.",
        None,
        ALL,
    ),
    Stop(
        "run fails for long",
        with_run(status="failed", error="An internal error.", result=None),
        failed(SPOILED, r"Stripe failed 3 runs, the last \(frr_\w+\) with: An internal error\. Sync again"),
    ),
    Stop("run stuck until timeout", stuck, failed(SPOILED, r"run frr_\w+ is still pending after 0\.3 s")),
    Stop(
        "file gone",
        with_file_fault(action="status", status=404, body=stripe_error("No such file upload.")),
        failed(SPOILED),
    ),
    Stop(
        "file cut for ever",
        with_file_fault(action="truncate", bytes=10),
        failed(SPOILED, r"result file file_\w+ has \d+ bytes at Stripe, \d+ arrived before the transfer broke"),
    ),
    Stop(
        "file of another report",
        with_content(lambda text: "one,two\n1,2\n"),
        failed(SPOILED, "line 1: the requested column 'payout_id' is not in the file"),
    ),
    Stop(
        "value that does not fit",
        with_content(with_a_value),
        failed(SPOILED, r"line 2, column 'gross': 'Aaa Aaaaa, 9 Aaa Aaaa, aaa@aaaaaaa\.aaa' is not a decimal"),
    ),
    Stop(
        "lock file that cannot be made",
        folder_is_a_file,
        r"the lock file \S+/reports\.lock cannot be made \(",
        WorkingFolderError,
        NOTHING,
    ),
    Stop(
        "working folder cut",
        schema_is_cut,
        r"dlt's working folder \S+ holds a file that is cut off",
        None,
        ALL,
        loaded_before=True,
    ),
    Stop(
        "database open elsewhere",
        database_is_open,
        r"the DuckDB file \S+ has been open in .* for more than 0 s; close it there and sync again",
        DestinationBusy,
        NOTHING,
        loaded_before=True,
    ),
    Stop("listener that fails", listener_fails, r"on_event failed \(ZeroDivisionError", None, ALL),
    Stop(
        "window that is not there",
        with_settings(start_date="2025-12-01", end_date="2026-01-01"),
        EITHER + r"asked for \[2025-12-01T00:00:00Z, 2026-01-01T00:00:00Z\), of which Stripe has",
        goes_on=NOTHING,
    ),
    Stop(
        "other grid",
        with_other_grid,
        r"report 'payouts\.itemized\.3': table 'payouts_itemized' holds cells of 'payouts\.itemized\|month\|UTC', and",
        ConfigurationError,
        NOTHING,
        loaded_before=True,
    ),
    Stop(
        "other label",
        with_settings(account="eu"),
        "account 'eu': table 'payouts_itemized' holds the same Stripe account's rows as account 'default'",
        ConfigurationError,
        NOTHING,
        loaded_before=True,
    ),
    Stop(
        "test key",
        with_key("test_keys"),
        r"report 'payouts\.itemized\.3': table 'payouts_itemized' holds live data of account 'default', and api_key",
        ConfigurationError,
        NOTHING,
        loaded_before=True,
    ),
]
DROPS = [
    Stop(
        "table dropped",
        with_sql("DROP TABLE {dataset}.payouts_itemized"),
        "the table 'payouts_itemized' is gone; it is made and loaded anew",
        None,
        ALL,
        loaded_before=True,
    ),
    Stop(
        "column dropped",
        column_is_dropped,
        "table 'payouts_itemized' lacks the column 'gross', which was changed by hand; put it back, or load the report "
        "anew with refresh='drop_resources'",
        ConfigurationError,
        NOTHING,
        loaded_before=True,
    ),
    Stop(
        "dataset dropped",
        with_sql("DROP SCHEMA {dataset} CASCADE"),
        "the dataset '.*' is gone; everything is loaded anew",
        None,
        ALL,
        loaded_before=True,
    ),
]
NAMED = re.compile(
    r"payouts[._]itemized|balance[._]summary|odd\.things|frr_|\bkey\b|api_key|account|dataset|folder|file|on_event"
)
"""Report, interval or setting, or the file or function that it is about."""


def sentences(error: StripeReportsError | None, records: Sequence[logging.LogRecord]) -> list[str]:
    """What a user reads: the error, or each of its lines, or the warnings where there is no error."""
    if error is None:
        return [record.getMessage() for record in records if record.name.startswith("stripe_reports_source")]
    if isinstance(error, SyncFailed):
        return [str(failure) for failure in error.failures]
    return [str(error)]


def words_of(error: StripeReportsError | None, said: Sequence[str]) -> list[str]:
    """The sentences without what a `SyncFailed` puts around each: which interval, and which later ones."""
    if isinstance(error, SyncFailed):
        return [f"{failure.error} {failure.remedy}" for failure in error.failures]
    return list(said)


def values(emulator: Emulator) -> set[str]:
    """All ids and texts of customers in the rows of the reports."""
    end = emulator.service.available_end
    found = emulator.truth(OFFERED[SPOILED], emulator.settings.first_available, end)
    return {value for row in found for value in row if isinstance(value, str) and len(value) > 12} | {SECRET_VALUE}


def check_stop(
    stop: Stop,
    emulator: Emulator,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Bring a stop about, look at what is said and what goes on, mend it, and sync again."""
    error: StripeReportsError | None = None
    with ExitStack() as undo, monkeypatch.context() as patched:
        world = World(emulator, pipeline, patched, undo)
        if stop.loaded_before:
            world.load()
            emulator.advance(emulator.service.available_end + timedelta(days=1))
        stop.spoil(world)
        caplog.clear()
        before = len(emulator.runs)
        try:
            world.load()
        except StripeReportsError as raised:
            error = raised
        said = sentences(error, caplog.records)
        made = len(emulator.runs) - before
    assert isinstance(error, stop.error) if stop.error else error is None
    assert said
    assert all(re.match(stop.says, sentence) for sentence in said), said
    assert all(NAMED.search(sentence) for sentence in said), said
    assert not [text for text in words_of(error, said) if len(text) > stop.most or "\n" in text]
    shown = str(error) + caplog.text
    assert not [value for value in [*values(emulator), *KEYS, "rk_live_wrong"] if value in shown]
    if stop.goes_on:
        for report in stop.goes_on:
            assert_true(emulator, pipeline, [report], end=emulator.service.available_end)
    else:
        assert made == 0
    emulator.clear_faults()
    emulator.restore()
    load_reports(pipeline, source_of(emulator, list(ALL), **FAST))
    assert_true(emulator, pipeline, ALL, end=emulator.service.available_end)


@pytest.fixture
def business(start_emulator: Callable[..., Emulator]) -> Emulator:
    """Two months, two reports."""
    end = datetime(2025, 2, 10, 12, tzinfo=timezone.utc)
    return start_emulator(scale=0.1, available_end=end, offered=tuple(OFFERED.values()), pending_polls=0)


@pytest.mark.first(3)
@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_a_stop(
    stop: Stop,
    business: Emulator,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    check_stop(stop, business, pipeline, monkeypatch, caplog)


@pytest.mark.first(1)
@FIRST_OF_BOTH
@pytest.mark.parametrize("stop", DROPS, ids=lambda stop: stop.name)
def test_what_was_dropped_by_hand(
    stop: Stop,
    business: Emulator,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    check_stop(stop, business, pipeline, monkeypatch, caplog)
