"""Large cells that are parsed while their files arrive: the same rows, nothing of what is not the file, no one waits.

The file host holds bytes back until rows of the ones before are parsed, or until what was parsed has been given up.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.settings import ParsePolicy
from stripe_reports_source.sync.progress import Event
from tests.conftest import BOTH, FIRST_OF_BOTH, query, source_of, until, with_settings
from tests.pipeline.held_files import ACTIVITY, FileHost, Folder, Reply, file_host
from tests.pipeline.test_large_cells import files_of, is_ours
from tests.pipeline.truth import assert_true

TABLE = "balance_change_from_activity_itemized"


@pytest.fixture
def emulator(start_emulator: Callable[..., Emulator]) -> Emulator:
    """January, whose file is held back, and some days of February."""
    return start_emulator(available_end=datetime(2025, 2, 10, tzinfo=timezone.utc))


def large(emulator: Emulator, host: FileHost, reports: Any = (ACTIVITY,), **settings: Any) -> Any:
    """A source to which the emulator's files are large."""
    source = source_of(emulator, list(reports), files_base_url=host.url, **settings)
    return with_settings(source, parse_policy=ParsePolicy(rows_per_table=20, block_bytes=1 << 12))


def half(content: bytes) -> int:
    return len(content) // 2


def in_two_parts(meanwhile: Callable[[], object]) -> Callable[[bytes], Reply]:
    """The whole file, whose second half is sent after `meanwhile`."""
    return lambda body: Reply([body[: half(body)], meanwhile, body[half(body) :]], len(body))


def cut_after(*meanwhile: Callable[[], object], change: Callable[[bytes], bytes] = bytes) -> Callable[[bytes], Reply]:
    """Half of the file, changed; then the connection is cut."""
    return lambda body: Reply([change(body[: half(body)]), *meanwhile], len(body))


def with_a_bad_value(folder: Folder, body: bytes, *meanwhile: Callable[[], object]) -> Reply:
    """Two thirds of a file; an amount in the second half is none, and is sent once rows before it are parsed."""
    at, end = body.index(b'"usd","', half(body)) + len(b'"usd","'), len(body) * 2 // 3
    first, second = body[: half(body)], body[half(body) : at] + b"x" + body[at + 1 : end]
    return Reply([first, folder.rows_are_parsed, second, folder.is_given_up, *meanwhile], end)


def assert_loaded(emulator: Emulator, pipeline: Pipeline) -> None:
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)
    assert Folder(pipeline).empty


def loaded_as_they_are(pipeline: Pipeline, loaded: Any) -> set[int]:
    """The files of our own that are in the load package."""
    files = files_of(pipeline, TABLE, loaded.load_infos[-1].loads_ids[0])
    assert all(map(is_ours, files))
    return {path.stat().st_ino for path in files}


@pytest.mark.first(1)
@BOTH
def test_rows_are_parsed_before_the_last_byte_is_sent(emulator: Emulator, pipeline: Pipeline) -> None:
    folder, events = Folder(pipeline), []

    def hear(event: Event) -> None:
        if event.interval is not None and event.interval.start.month == 1 and event.kind != "running":
            events.append(event.kind)

    with file_host(emulator, in_two_parts(folder.rows_are_parsed)) as host:
        loaded = load_reports(pipeline, large(emulator, host), on_event=hear)
    assert folder.written & loaded_as_they_are(pipeline, loaded)
    assert events == ["downloading", "fetched", "parsing", "loaded"]
    assert_loaded(emulator, pipeline)
    [[rows, totals]] = query(pipeline, "SELECT rows, control_totals FROM report_runs ORDER BY interval_start LIMIT 1")
    found = {(each["currency"], each["category"]): Decimal(each["amounts"]["net"]) for each in json.loads(totals)}
    january = f"FROM {TABLE} WHERE _interval_day = '2025-01-01'"
    assert query(pipeline, f"SELECT count(*) {january}") == [(rows,)]
    net = query(pipeline, f"SELECT currency, reporting_category, sum(net) {january} GROUP BY 1, 2")
    assert found == {(currency, category): amount for currency, category, amount in net}


@pytest.mark.long
@FIRST_OF_BOTH
def test_a_plain_run_parses_while_a_file_arrives(emulator: Emulator, pipeline: Pipeline) -> None:
    with file_host(emulator, in_two_parts(Folder(pipeline).rows_are_parsed)) as host:
        pipeline.run(large(emulator, host, [ACTIVITY, "balance.summary"]))
    assert_loaded(emulator, pipeline)


@FIRST_OF_BOTH
def test_a_transfer_that_goes_on_where_it_was_cut(emulator: Emulator, pipeline: Pipeline) -> None:
    folder = Folder(pipeline)

    def rest(body: bytes) -> Reply:
        return Reply([body[half(body) :]], len(body), begin=half(body))

    with file_host(emulator, cut_after(folder.rows_are_parsed), rest) as host:
        loaded = load_reports(pipeline, large(emulator, host))
    assert host.ranges[0] is None
    assert host.ranges[1] is not None
    assert folder.written & loaded_as_they_are(pipeline, loaded)
    assert_loaded(emulator, pipeline)


@FIRST_OF_BOTH
def test_a_file_that_begins_anew_is_parsed_when_it_is_whole(emulator: Emulator, pipeline: Pipeline) -> None:
    folder, kinds = Folder(pipeline), []

    def older(part: bytes) -> bytes:
        return part.replace(b'"usd"', b'"eur"')

    def newer(body: bytes) -> Reply:
        return Reply([body[:100], folder.is_given_up, body[100:]], len(body), etag='"2"')

    with file_host(emulator, cut_after(folder.rows_are_parsed, change=older), newer) as host:
        loaded = load_reports(pipeline, large(emulator, host), on_event=lambda event: kinds.append(event.kind))
    assert not folder.written & loaded_as_they_are(pipeline, loaded)
    assert kinds.count("parsing") == kinds.count("loaded") == 2
    assert_loaded(emulator, pipeline)


def test_a_bad_value_that_is_not_the_files(emulator: Emulator, pipeline: Pipeline) -> None:
    folder = Folder(pipeline)

    def older(body: bytes) -> Reply:
        return replace(with_a_bad_value(folder, body), length=len(body))

    def newer(body: bytes) -> Reply:
        return Reply([body], len(body), etag='"2"')

    with file_host(emulator, older, newer) as host:
        load_reports(pipeline, large(emulator, host))
    assert len(host.ranges) == 2
    assert_loaded(emulator, pipeline)


@FIRST_OF_BOTH
def test_a_bad_value_of_a_whole_file(emulator: Emulator, pipeline: Pipeline) -> None:
    """It is said as of a file that was whole before it was parsed, and once it is known to be the file's."""
    folder, kinds, failed_before = Folder(pipeline), [], []

    def bad(body: bytes) -> Reply:
        begun = with_a_bad_value(folder, body, lambda: failed_before.append("failed" in kinds))
        return Reply([*begun.steps, body[begun.length :]], len(body))

    def bad_at_once(body: bytes) -> Reply:
        whole = b"".join(step for step in bad(body).steps if isinstance(step, bytes))
        return Reply([whole], len(whole))

    messages = []
    for reply in (bad, bad_at_once):
        with file_host(emulator, reply) as host:
            source = large(emulator, host, [ACTIVITY, "balance.summary"])
            with pytest.raises(SyncFailed, match=r"line \d+, column 'gross'") as caught:
                load_reports(pipeline, source, on_event=lambda event: kinds.append(event.kind))
        [failure] = caught.value.failures
        assert (failure.report, failure.interval[:11]) == (f"{ACTIVITY}.3", "[2025-01-01")
        messages.append(str(failure.error))
    assert messages[0] == messages[1]
    assert failed_before == [False]
    assert not query(pipeline, f"SELECT 1 FROM information_schema.tables WHERE table_name = '{TABLE}'")
    assert query(pipeline, "SELECT count(*) > 0 FROM balance_summary") == [(True,)]
    assert folder.empty


def test_a_file_of_another_size_than_announced(emulator: Emulator, pipeline: Pipeline) -> None:
    """It ends as its answer says, twice: the run is made anew, and nothing of the short file is loaded."""
    folder = Folder(pipeline)

    def short(body: bytes) -> Reply:
        end = body.rindex(b"\n", 0, -1) + 1
        return Reply([body[: half(body)], folder.rows_are_parsed, body[half(body) : end]], end)

    def short_again(body: bytes) -> Reply:
        end = body.rindex(b"\n", 0, -1) + 1
        return Reply([folder.is_given_up, body[:end]], end)

    with file_host(emulator, short, short_again) as host:
        loaded = load_reports(pipeline, large(emulator, host))
    assert len(emulator.runs) == 3
    assert not folder.written & loaded_as_they_are(pipeline, loaded)
    assert_loaded(emulator, pipeline)


def test_of_one_report_one_large_cell_at_a_time_is_parsed(
    start_emulator: Callable[..., Emulator], pipeline: Pipeline
) -> None:
    """A cell that is there goes before one that still arrives, which is parsed when it is whole."""
    accounts, report = ("acct_a", "acct_b"), "connected_account_balance_change_from_activity.itemized"
    end = datetime(2025, 2, 1, tzinfo=timezone.utc)
    platform = start_emulator(all_types=True, connected_accounts=accounts, available_end=end)
    folder, parsed = Folder(pipeline), threading.Event()

    def first(body: bytes) -> Reply:
        return Reply(
            [body[: half(body)], folder.rows_are_parsed, parsed.set, folder.is_given_up, body[half(body) :]], len(body)
        )

    def other(body: bytes) -> Reply:
        return Reply([lambda: parsed.wait(60), body], len(body))

    with file_host(platform, first, report=report, others=other) as host:
        load_reports(pipeline, large(platform, host, [report], connected_accounts=accounts))
    counted = query(
        pipeline, f"SELECT _report_run_id, count(*) FROM {report.replace('.', '_')} GROUP BY ALL ORDER BY 1"
    )
    assert len(counted) == 2
    assert counted == query(pipeline, "SELECT run_id, rows FROM report_runs ORDER BY 1")


def ahead_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stripe-reports-ahead")]


def test_a_stop_while_a_file_grows(emulator: Emulator, pipeline: Pipeline) -> None:
    folder, stop, ended = Folder(pipeline), threading.Event(), threading.Event()

    def stops() -> None:
        folder.rows_are_parsed()
        assert ahead_threads()
        stop.set()
        assert ended.wait(60)

    with file_host(emulator, in_two_parts(stops)) as host:
        loaded = load_reports(pipeline, large(emulator, host), stop=stop)
        ended.set()
        assert (loaded.rows, ahead_threads(), folder.empty) == (0, [], True)
        load_reports(pipeline, large(emulator, host))
    assert_loaded(emulator, pipeline)


def load(pipeline: Pipeline, source: Any, plain: bool) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has ignored by what runs in the background
    pipeline.run(source) if plain else load_reports(pipeline, source)


@pytest.mark.first(1)
@pytest.mark.parametrize(("number", "plain"), [(signal.SIGKILL, False), (signal.SIGINT, False), (signal.SIGINT, True)])
def test_a_process_that_ends_while_a_file_grows(
    emulator: Emulator, pipeline: Pipeline, number: signal.Signals, plain: bool
) -> None:
    """It waits for nothing that does not come; the next sync loads all, and removes what was left."""
    folder, ended = Folder(pipeline), threading.Event()

    def ends() -> None:
        folder.rows_are_parsed()
        os.kill(int(process.pid or 0), number)
        process.join(60)
        ended.set()

    with file_host(emulator, in_two_parts(ends)) as host:
        process = multiprocessing.get_context("fork").Process(
            target=load, args=(pipeline, large(emulator, host), plain)
        )
        process.start()
        assert ended.wait(90)
        assert process.exitcode == (-signal.SIGKILL if number == signal.SIGKILL else 1)
        assert folder.empty is (number != signal.SIGKILL)
        load_reports(pipeline, large(emulator, host))
    assert_loaded(emulator, pipeline)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open files so")
def test_how_often_a_file_is_open(emulator: Emulator, pipeline: Pipeline) -> None:
    folder, opened = Folder(pipeline), []

    def look() -> None:
        folder.rows_are_parsed()
        until(lambda: len(set(folder.opened())) == 1)  # February is whole
        opened.extend(folder.opened())

    with file_host(emulator, in_two_parts(look)) as host:
        load_reports(pipeline, large(emulator, host))
    assert len(opened) == 2  # to be written, and to be read
    assert folder.opened() == []
