"""Emulator and receiver in one process: events become rows, whatever happens on the way."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from dlt import Pipeline

from stripe_reports_source import Report, load_reports
from stripe_reports_source.emulator import Emulator, Endpoint, Fault
from stripe_reports_source.errors import own_error
from stripe_reports_source.sync import loading
from stripe_reports_source.warehouse.stored import stored_rows
from stripe_reports_source.webhook import ReportEvent, RetryDelays, WebhookReceiver, handle_event, worker
from stripe_reports_source.webhook.json_log import JsonLines
from tests.conftest import query, source_of
from tests.pipeline.truth import assert_true
from tests.webhook.served import SECRET, body_of, event_of, post, served, until

REPORTS = ["balance.summary", "payouts.itemized"]
REFUSED = '{"error": {"type": "invalid_request_error", "message": "Not now."}}'
NEXT = datetime(2025, 3, 11, 12, tzinfo=timezone.utc)
Receive = Callable[..., WebhookReceiver]


@pytest.fixture
def receive(emulator: Emulator, pipeline: Pipeline) -> Iterator[Receive]:
    """Receivers that are told by the emulator, and stopped at the end."""
    with ExitStack() as stack:

        def start(reports: Any = REPORTS, trouble: Any = None, **settings: Any) -> WebhookReceiver:
            given = {"run_timeout": settings.pop("run_timeout", 600), "run_policy": settings.pop("run_policy", None)}
            receiver = WebhookReceiver(
                pipeline,
                lambda: source_of(emulator, reports, **given),
                [SECRET],
                **{"gather_seconds": 0.3, **settings},
            )
            url = stack.enter_context(served(receiver))
            emulator.send_events(Endpoint(url, SECRET, **(trouble or {})))
            receiver.start()
            stack.callback(receiver.stop)
            return receiver

        yield start
        emulator.events.close()


def syncs(receiver: WebhookReceiver, outcome: str = "ok") -> int:
    name = f'stripe_reports_webhook_syncs_total{{outcome="{outcome}"}} '
    return sum(int(line[len(name) :]) for line in receiver.metrics_text().splitlines() if line.startswith(name))


def polls(emulator: Emulator) -> int:
    return sum(request.method == "GET" and "report_runs/frr" in request.path for request in emulator.requests)


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[str]:
    """Let a method raise at its next call, which is noted in what is given."""
    usual = getattr(owner, name)
    failed: list[str] = []

    def attempt(*args: Any) -> Any:
        if not failed:
            failed.append(name)
            raise OSError("not now")
        return usual(*args)

    monkeypatch.setattr(owner, name, attempt)
    return failed


def quiet(emulator: Emulator, receiver: WebhookReceiver) -> bool:
    return emulator.events.idle and receiver._inbox.counts()["waiting"] == 0


def test_new_data_is_loaded_when_stripe_says_so(emulator: Emulator, pipeline: Pipeline, receive: Receive) -> None:
    receiver = receive()
    until(lambda: syncs(receiver) == 1)
    assert_true(emulator, pipeline, REPORTS, end=emulator.settings.available_end)
    runs = len(emulator.runs)
    emulator.advance(NEXT)
    until(lambda: quiet(emulator, receiver))
    assert_true(emulator, pipeline, REPORTS, end=NEXT)
    # two events for each version of each type, and many others, led to no more runs than it needs
    assert len(emulator.runs) - runs == 2
    assert receiver._inbox.counts()["handled"] == 2 * sum(
        name.startswith(("balance.summary.", "payouts.itemized.")) for name in emulator.service.type_names
    )


def test_events_that_come_during_a_sync_lead_to_one_more(
    emulator: Emulator, pipeline: Pipeline, receive: Receive
) -> None:
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    receiver = receive()
    until(lambda: len(emulator.runs) >= 2)
    emulator.advance(NEXT)
    until(lambda: emulator.events.idle)
    emulator.clear_faults()
    until(lambda: quiet(emulator, receiver))
    assert_true(emulator, pipeline, REPORTS, end=NEXT)
    assert syncs(receiver) == 2


def test_the_event_of_a_run_spares_its_polls(start_emulator: Callable[..., Emulator], pipeline: Pipeline) -> None:
    emulator = start_emulator(run_delay=0.5)
    never = {"first_event_poll": 1000.0, "longest_event_poll": 1000.0}  # only the event can end the wait in time
    receiver = WebhookReceiver(pipeline, source_of(emulator, REPORTS, run_policy=never), [SECRET])
    with served(receiver) as url:
        emulator.send_events(Endpoint(url, SECRET))
        receiver.start()
        until(lambda: syncs(receiver) == 1)
        receiver.stop()
    # each run is read once more, after its event, and no other event led to a sync
    assert polls(emulator) == len(emulator.runs) > 0
    assert receiver._inbox.counts()["waiting"] == 0


def test_lost_events_lose_nothing(emulator: Emulator, pipeline: Pipeline, receive: Receive) -> None:
    receiver = receive(trouble={"unsent": 1.0}, sync_every_hours=1 / 3600, run_policy={"first_event_poll": 0.2})
    until(lambda: syncs(receiver) >= 1)
    emulator.advance(NEXT)
    before = syncs(receiver)
    until(lambda: syncs(receiver) >= before + 2)
    assert_true(emulator, pipeline, REPORTS, end=NEXT)
    assert not emulator.deliveries


def test_a_crash_between_answer_and_load_loses_nothing(
    emulator: Emulator, pipeline: Pipeline, receive: Receive
) -> None:
    crashed = WebhookReceiver(pipeline, source_of(emulator, REPORTS), [SECRET])
    with served(crashed) as url:
        for identity in ("evt_1", "evt_2", "evt_1"):
            assert post(url, body_of(event_of(identity))) == 200  # and its worker never runs
    receiver = receive()
    until(lambda: receiver._inbox.counts()["handled"] == 2)
    assert_true(emulator, pipeline, REPORTS, end=emulator.settings.available_end)
    assert syncs(receiver) == 1  # what waits together is loaded together


def test_events_that_affect_nothing_cost_nothing(emulator: Emulator, receive: Receive) -> None:
    receiver = receive()
    until(lambda: syncs(receiver) == 1)
    asked = len(emulator.requests)
    emulator.service.announce_type("tax.transactions.itemized.2")
    until(lambda: receiver._inbox.counts()["ignored"] >= 2 and quiet(emulator, receiver))
    assert len(emulator.requests) == asked
    # an event that affects a report but brings nothing new costs a single request
    emulator.service.announce_type("balance.summary.1")
    until(lambda: syncs(receiver) == 2)
    assert len(emulator.requests) == asked + 1


@pytest.mark.long
def test_an_inbox_that_is_begun_anew_leads_to_a_look_at_everything(
    emulator: Emulator, pipeline: Pipeline, receive: Receive
) -> None:
    receiver = receive(trouble={"unsent": 1.0})
    until(lambda: syncs(receiver) == 1)
    emulator.advance(NEXT)
    receiver._inbox.path.unlink()  # and with it whatever had come
    assert receiver.ready() == {"inbox": True, "worker": True}
    until(lambda: syncs(receiver) == 2)
    assert_true(emulator, pipeline, REPORTS, end=NEXT)


@pytest.mark.long
@pytest.mark.parametrize("step", ["the source is built", "the inbox is pruned"])
def test_so_it_does_where_the_next_step_fails(
    emulator: Emulator, pipeline: Pipeline, receive: Receive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(worker, "TROUBLE_SECONDS", 0.05)
    receiver = receive(trouble={"unsent": 1.0})
    until(lambda: syncs(receiver) == 1)
    place = (receiver._worker, "_build_source") if "source" in step else (receiver._inbox, "prune")
    failed = fail_once(monkeypatch, *place)
    emulator.advance(NEXT)
    receiver._inbox.path.unlink()
    assert receiver.ready() == {"inbox": True, "worker": True}
    receiver._worker.wake()
    until(lambda: syncs(receiver) == 2)
    assert failed
    assert_true(emulator, pipeline, REPORTS, end=NEXT)


def test_an_event_that_could_not_be_settled_is_settled_later(
    emulator: Emulator, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may hold the file."""
    monkeypatch.setattr(worker, "TROUBLE_SECONDS", 0.05)
    receiver = receive()
    until(lambda: syncs(receiver) == 1)
    settle = receiver._inbox.settle
    failed: list[str] = []

    def settle_later(ids: Collection[str], standing: Any) -> None:
        if ids and not failed:
            failed.extend(ids)
            raise sqlite3.OperationalError("database is locked")
        settle(ids, standing)

    monkeypatch.setattr(receiver._inbox, "settle", settle_later)
    emulator.advance(NEXT)
    until(lambda: failed and quiet(emulator, receiver))


@pytest.mark.long
def test_rows_that_the_destination_does_not_hold_are_loaded_again(
    emulator: Emulator, pipeline: Pipeline, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = receive(retry_delays=RetryDelays(first=0.3))
    until(lambda: syncs(receiver) == 1)
    loses = [True]

    def lose(pipeline: Pipeline, cells: Any, loads: Any) -> Any:
        for cell in cells if loses else ():
            table = cell.request.report.report.table
            query(pipeline, f"DELETE FROM {table} WHERE _interval_key = %s", cell.request.key)
        return stored_rows(pipeline, cells, loads)

    monkeypatch.setattr(loading, "stored_rows", lose)
    emulator.advance(NEXT)
    until(lambda: syncs(receiver, "failed") == 1)
    assert receiver._inbox.counts()["waiting"] > 0
    loses.clear()
    until(lambda: quiet(emulator, receiver))
    assert_true(emulator, pipeline, REPORTS, end=NEXT)


def test_what_fails_is_tried_again_and_others_go_on(emulator: Emulator, pipeline: Pipeline, receive: Receive) -> None:
    receiver = receive(retry_delays=RetryDelays(first=0.5))
    until(lambda: syncs(receiver) == 1)
    emulator.add_fault(Fault("status", method="POST", status=400, body=REFUSED, times=None))
    emulator.advance(NEXT)
    until(lambda: syncs(receiver, "failed") >= 2)
    assert receiver._inbox.counts()["waiting"] > 0
    emulator.clear_faults()
    until(lambda: quiet(emulator, receiver))
    assert_true(emulator, pipeline, REPORTS, end=NEXT)


@pytest.mark.long
def test_one_wrong_report_does_not_keep_the_others_from_going_on(
    emulator: Emulator, pipeline: Pipeline, receive: Receive
) -> None:
    receiver = receive([*REPORTS, "tax.summarized_export"])  # not offered
    until(lambda: syncs(receiver, "failed") == 1)
    assert_true(emulator, pipeline, REPORTS, end=emulator.settings.available_end)


def test_a_run_that_was_left_pending_is_taken_up_when_it_ends(
    emulator: Emulator, pipeline: Pipeline, receive: Receive
) -> None:
    only_by_its_event = RetryDelays(first=1000.0)
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    receiver = receive(["balance.summary"], run_timeout=0.5, retry_delays=only_by_its_event)
    until(lambda: syncs(receiver, "failed") == 1)
    emulator.clear_faults()
    until(lambda: quiet(emulator, receiver) and syncs(receiver) == 1)
    assert_true(emulator, pipeline, ["balance.summary"], end=emulator.settings.available_end)
    # all cells were begun once; the first failure kept the rest of the lane from being loaded
    parameters = [json.dumps(run.parameters, sort_keys=True) for run in emulator.runs]
    assert len(set(parameters)) == len(parameters)


def test_runs_of_others_lead_to_nothing(emulator: Emulator, receive: Receive) -> None:
    receiver = receive()
    until(lambda: syncs(receiver) == 1 and quiet(emulator, receiver))
    asked, ignored = len(emulator.requests), receiver._inbox.counts()["ignored"]
    start = int(emulator.settings.first_available.timestamp())
    run = requests.post(
        f"{emulator.api_url}/v1/reporting/report_runs",
        auth=(emulator.settings.live_keys[0], ""),
        data={
            "report_type": "balance.summary.1",
            "parameters[interval_start]": start,
            "parameters[interval_end]": start + 86_400,
        },
        timeout=30,
    )
    assert run.status_code == 200
    until(lambda: receiver._inbox.counts()["ignored"] == ignored + 1 and quiet(emulator, receiver))
    assert (syncs(receiver), len(emulator.requests)) == (1, asked + 1)  # the request that made it


@pytest.mark.long
def test_it_stops_in_the_middle_of_a_wait_and_goes_on_later(
    emulator: Emulator, pipeline: Pipeline, receive: Receive
) -> None:
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    receiver = receive()
    until(lambda: len(emulator.runs) >= 2)
    assert receiver.stop(30)
    runs = len(emulator.runs)
    emulator.clear_faults()
    again = receive()
    until(lambda: syncs(again) == 1)
    assert_true(emulator, pipeline, REPORTS, end=emulator.settings.available_end)
    assert {run.id for run in emulator.runs[:runs]} <= {row[0] for row in query(pipeline, RUN_IDS)}


RUN_IDS = "SELECT run_id FROM report_runs WHERE error IS NULL"


def test_it_stops_while_stripe_does_not_answer(emulator: Emulator, receive: Receive) -> None:
    emulator.add_fault(Fault("status", status=503, body="{}", headers={"Retry-After": "100"}, times=None))
    receiver = receive()
    until(lambda: emulator.requests)
    assert receiver.stop(30)


def test_the_log_has_neither_keys_nor_values() -> None:
    lines = JsonLines()
    own = logging.makeLogRecord(
        {"name": "stripe_reports_source.x", "msg": "with %s", "args": ("rk_test_abc",), "levelname": "INFO", "run": "f"}
    )
    told = json.loads(lines.format(own))
    assert (told["message"], told["run"], told["level"]) == ("with rk_[removed]", "f", "info")
    other = logging.makeLogRecord({"name": "dlt", "msg": "jenny@example.com is not a number", "levelname": "ERROR"})
    assert "jenny" not in lines.format(other)


def event_about(report_type: str, run_id: str | None = None) -> ReportEvent:
    kind: Any = "reporting.report_run.succeeded" if run_id else "reporting.report_type.updated"
    return ReportEvent("evt_1", kind, report_type, run_id, None, True, 0)


def test_handle_event_loads_what_the_event_affects(emulator: Emulator, pipeline: Pipeline) -> None:
    source = source_of(emulator, REPORTS)
    assert handle_event(event_about("tax.transactions.itemized.2"), pipeline, source) is None
    loaded = handle_event(event_about("balance.summary.1"), pipeline, source)
    assert loaded is not None
    assert loaded.cells > 0
    assert_true(emulator, pipeline, ["balance.summary"], end=emulator.settings.available_end)
    with pytest.raises(Exception, match="payouts_itemized"):
        query(pipeline, "SELECT * FROM payouts_itemized")
    again = handle_event(event_about("balance.summary.1"), pipeline, source)
    assert again is not None
    assert again.cells == 0


def test_handle_event_takes_up_a_run_that_was_left_pending(emulator: Emulator, pipeline: Pipeline) -> None:
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    source = source_of(emulator, ["balance.summary"], run_timeout=0.5)
    assert handle_event(event_about("balance.summary.1", "frr_1"), pipeline, source) is None
    with pytest.raises(Exception, match="still pending"):
        load_reports(pipeline, source)
    emulator.clear_faults()
    [(left,)] = query(pipeline, "SELECT run_id FROM report_runs WHERE status = 'pending'")
    assert handle_event(event_about("balance.summary.1", "frr_1"), pipeline, source) is None
    assert handle_event(event_about("balance.summary.1", left), pipeline, source) is not None
    assert_true(emulator, pipeline, ["balance.summary"], end=emulator.settings.available_end)
    assert handle_event(event_about("balance.summary.1", left), pipeline, source) is None


@pytest.mark.long
def test_a_report_per_payout_follows_new_payouts(start_emulator: Callable[..., Emulator], pipeline: Pipeline) -> None:
    emulator = start_emulator(all_types=True)
    source = source_of(emulator, ["payouts.itemized", Report("payout_reconciliation.by_id.itemized")])
    loaded = handle_event(event_about("payouts.itemized.3"), pipeline, source)
    assert loaded is not None
    count = "SELECT count(DISTINCT automatic_payout_id) FROM payout_reconciliation_by_id_itemized"
    [(before,)] = query(pipeline, count)
    emulator.advance(NEXT + timedelta(days=5))
    handle_event(event_about("payouts.itemized.3"), pipeline, source)
    [(after,)] = query(pipeline, count)
    assert 0 < before < after


def test_an_error_whose_chain_comes_back_to_itself_is_searched_once() -> None:
    outer, inner = RuntimeError(), ValueError()
    outer.__cause__, inner.__context__ = inner, outer
    assert own_error(outer) is None
