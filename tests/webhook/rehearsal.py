"""A receiver is told of new data, badly, and killed now and then: is every cell loaded once, and no event lost?

    python -m tests.webhook.rehearsal --events 1000 --kills 10 --seed 1

The emulator runs in this process, the receiver (`stripe-reports webhook`) in one of its own; they meet over HTTP only.
Prints what came of it as JSON; exit code 0 when nothing was found wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dlt

from stripe_reports_source.emulator import Emulator, EmulatorSettings, Endpoint
from stripe_reports_source.plan.intervals import Span
from stripe_reports_source.plan.run_parameters import canonical
from tests.pipeline.truth import NEWEST, expected_rows, loaded_rows
from tests.webhook.process import Receiver

REPORTS = ("balance.summary", "balance_change_from_activity.summary", "payouts.itemized", "payouts.summary")
FIRST_END = datetime(2025, 2, 10, tzinfo=timezone.utc)
STEP = timedelta(hours=12)
PATIENCE = 180.0


@dataclass(frozen=True)
class Plan:
    """What is rehearsed: how many true events at least, how many kills, and the seed of all trouble."""

    events: int
    kills: int
    seed: int


def rehearse(plan: Plan, folder: Path) -> dict[str, Any]:
    """Play a plan and look for what went wrong."""
    settings = EmulatorSettings(
        seed=plan.seed,
        scale=0.1,
        business_start=date(2025, 1, 15),
        available_end=FIRST_END,
        run_delay=0.6,
        offered=tuple(NEWEST.values()),
    )
    began = time.monotonic()
    with Emulator(settings) as emulator:
        receiver = Receiver(emulator, folder, *REPORTS, "--interval", "week", "--gather", "0.2")
        receiver.start()
        emulator.send_events(
            Endpoint(
                f"{receiver.url}/webhook",
                receiver.secret,
                duplicates=0.2,
                reorder=True,
                delay=(0.0, 0.3),
                bad_signatures=0.05,
                old_timestamps=0.02,
                attempts=1000,
                seed=plan.seed,
            )
        )
        kills = _trouble(plan, emulator, receiver)
        # the last new data comes to a receiver that is not restarted any more: only its events can tell of it
        _until(lambda: receiver.metric("syncs_total"), "the sync after the last start ended")
        emulator.advance(emulator.service.available_end + STEP)
        _until(lambda: emulator.events.idle, "all events were delivered")
        _until(lambda: _settled(receiver), "all events were settled")
        code = receiver.stop()
        found = _judge(emulator, receiver, code)
    return {**vars(plan), "kills_done": dict(kills), **found, "total_seconds": round(time.monotonic() - began, 1)}


def _trouble(plan: Plan, emulator: Emulator, receiver: Receiver) -> Counter[str]:
    """Move the data on until enough events were sent, with kills at random points between."""
    chance = random.Random(plan.seed)
    _until(lambda: receiver.metric("syncs_total"), "the first sync ended")
    kill_at = sorted(chance.uniform(0.02, 0.9) * plan.events for _ in range(plan.kills))
    kills = Counter[str]()
    while (sent := _true_events(emulator)) < plan.events:
        if sent and chance.random() < 0.3:
            # events about nothing new, in a burst
            emulator.service.announce_type(chance.choice(emulator.service.type_names))
        else:
            emulator.advance(emulator.service.available_end + STEP)
        time.sleep(chance.uniform(0.05, 1.5))
        if kill_at and sent >= kill_at[0]:
            kill_at.pop(0)
            _kill(receiver, kills)
            time.sleep(chance.uniform(0, 0.5))
            receiver.start()
            if chance.random() < 0.7:
                # no newer data for a while: what was begun before the kill must be taken up, not made again
                _until(lambda: receiver.metric("syncs_total"), "the sync after a kill ended")
    for _ in kill_at:
        _kill(receiver, kills)
        receiver.start()
    return kills


def _kill(receiver: Receiver, kills: Counter[str]) -> None:
    """Kill it, and count whether it was at work."""
    working = receiver.metric("working")
    receiver.kill()
    kills["while it started" if working is None else "in a sync" if working else "between syncs"] += 1


def _true_events(emulator: Emulator) -> int:
    return len({delivery.event for delivery in emulator.deliveries if delivery.spoiled is None})


def _settled(receiver: Receiver) -> bool:
    return receiver.metric('hints{standing="waiting"') == 0 and receiver.metric("working") == 0


def _judge(emulator: Emulator, receiver: Receiver, code: int) -> dict[str, Any]:
    deliveries = emulator.deliveries
    events = receiver.events()
    answered = {delivery.event for delivery in deliveries if delivery.status == 200}
    true = {delivery.event for delivery in deliveries if delivery.spoiled in (None, "duplicate")}
    false = {delivery.event for delivery in deliveries if delivery.spoiled in ("bad_signature", "old_timestamp")}
    lost, doubled = _rows(emulator, receiver)
    wrong = {
        "rows_lost": lost,
        "rows_doubled": doubled,
        "runs_beyond_need": _runs_beyond_need(emulator),
        "false_events_accepted": len(false & (answered | set(events))),
        "acknowledged_events_lost": len(answered - set(events)),
        "true_events_never_taken": len(true - answered),
        "events_not_settled": sum(standing == "waiting" for standing in events.values()),
        "exit_code": code,
    }
    seconds = sorted(delivery.seconds for delivery in deliveries if delivery.status == 200)
    return {
        "true_events": len(true),
        "deliveries": len(deliveries),
        "by_status": dict(sorted(Counter(str(delivery.status) for delivery in deliveries).items())),
        "spoiled": dict(Counter(str(delivery.spoiled) for delivery in deliveries if delivery.spoiled)),
        "events_kept": dict(Counter(events.values())),
        "runs": len(emulator.runs),
        "polls": sum(request.method == "GET" and "report_runs/frr" in request.path for request in emulator.requests),
        "answer_seconds_p50": round(statistics.median(seconds), 4),
        "answer_seconds_max": seconds[-1],
        "available_end": emulator.service.available_end.isoformat(),
        "clean": not any(wrong.values()),
        **wrong,
    }


def _rows(emulator: Emulator, receiver: Receiver) -> tuple[int, int]:
    """Rows that are missing in the tables, and rows too many, against what the emulator's reports say."""
    folder = receiver.database.parent / "oracle"
    pipeline = dlt.pipeline(
        "oracle",
        destination=dlt.destinations.duckdb(str(receiver.database)),
        dataset_name="stripe",
        pipelines_dir=str(folder),
    )
    window = Span(emulator.settings.first_available, emulator.service.available_end)
    lost = doubled = 0
    for report in REPORTS:
        wanted, found = expected_rows(emulator, report, window, "week", "UTC"), loaded_rows(pipeline, report)
        lost += (wanted - found).total()
        doubled += (found - wanted).total()
    return lost, doubled


def _runs_beyond_need(emulator: Emulator) -> int:
    """Runs for a cell and an availability that had a run already."""
    groups: dict[Any, int] = defaultdict(int)
    for run in emulator.runs:
        groups[run.report_type, canonical(run.report_type, run.parameters), run.available_end] += 1
    return sum(count - 1 for count in groups.values())


def _until(condition: Callable[[], Any], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"it never came to it that {what}")
        time.sleep(0.05)


def main() -> int:
    """Play the plan of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1000, help="true events, at least")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where inbox, database and log are left")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stripe-reports-rehearsal-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        found = rehearse(Plan(asked.events, asked.kills, asked.seed), folder)
    print(json.dumps(found, indent=2))
    return 0 if found["clean"] else 1


if __name__ == "__main__":
    sys.exit(main())
