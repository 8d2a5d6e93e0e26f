"""From the moment Stripe has new data until its rows are in the table, driven by webhooks; beside it the bare run.

    python -m tests.benchmarks.webhook --events 100

The emulator runs in this process, the receiver (`stripe-reports webhook`) in one of its own. A time ends when the
receiver has settled the events, which it does after the rows are committed. The bare run is: create, poll every 10 ms,
download. Between the two lie the seconds that an event waits for others (`--gather`), dlt and the database.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import requests

from stripe_reports_source.emulator import Emulator, EmulatorSettings, Endpoint
from tests.webhook.process import Receiver

REPORT = "balance_change_from_activity.itemized"
TYPE = f"{REPORT}.3"
FIRST_END = datetime(2025, 2, 3, tzinfo=timezone.utc)
PATIENCE = 120.0


def main() -> None:
    """Print the measurements as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100, help="times that the data moves on; two events each")
    parser.add_argument("--run-seconds", type=float, default=1.0)
    parser.add_argument("--gather", type=float, default=2.0)
    asked = parser.parse_args()
    settings = EmulatorSettings(
        business_start=date(2025, 2, 1), available_end=FIRST_END, run_delay=asked.run_seconds, offered=(TYPE,)
    )
    with Emulator(settings) as emulator, tempfile.TemporaryDirectory(prefix="stripe-reports-webhook-") as temporary:
        os.chdir(temporary)
        options = ("--interval", "day", "--lookback-days", "0", "--gather", str(asked.gather))
        receiver = Receiver(emulator, Path(temporary), REPORT, *options)
        receiver.start()
        emulator.send_events(Endpoint(f"{receiver.url}/webhook", receiver.secret))
        _wait_for(receiver, "syncs_total", 1)
        bare, whole = [], []
        polls_of_bare_runs = 0
        for number in range(asked.events):
            before = polls(emulator)
            bare.append(bare_run(emulator))
            polls_of_bare_runs += polls(emulator) - before
            began = time.monotonic()
            emulator.service.set_availability(TYPE, end=FIRST_END + timedelta(hours=12 * (number + 1)))
            _wait_for(receiver, "lag_events_total", 2 * (number + 1))
            whole.append(time.monotonic() - began)
        receiver.stop()
        polled = polls(emulator) - polls_of_bare_runs
    print(
        json.dumps(
            {
                "events": asked.events,
                "run_seconds": asked.run_seconds,
                "gather_seconds": asked.gather,
                "available_to_rows": _percentiles(whole),
                "bare_run_and_download": _percentiles(bare),
                "rest_besides_gathering_p50": round(
                    statistics.median(whole) - statistics.median(bare) - asked.gather, 3
                ),
                "runs": len(emulator.runs) - len(bare),
                "polls": polled,
            }
        )
    )


def bare_run(emulator: Emulator) -> float:
    """Seconds to create a run of the last day, wait for it and download its file, with nothing else to do."""
    end = emulator.service.get_type(TYPE, True)["data_available_end"]
    http = requests.Session()
    http.auth = (emulator.settings.live_keys[0], "")
    began = time.monotonic()
    data = {"report_type": TYPE, "parameters[interval_start]": end - 86_400, "parameters[interval_end]": end}
    run: dict[str, Any] = http.post(f"{emulator.api_url}/v1/reporting/report_runs", data, timeout=30).json()
    while run["status"] == "pending":
        time.sleep(0.01)
        run = http.get(f"{emulator.api_url}/v1/reporting/report_runs/{run['id']}", timeout=30).json()
    assert http.get(run["result"]["url"], timeout=30).content
    return time.monotonic() - began


def polls(emulator: Emulator) -> int:
    """How often a run was asked for."""
    return sum(request.method == "GET" and "report_runs/frr" in request.path for request in emulator.requests)


def _wait_for(receiver: Receiver, metric: str, least: float) -> None:
    give_up = time.monotonic() + PATIENCE
    while (receiver.metric(metric) or 0) < least:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{metric} did not come to {least}")
        time.sleep(0.01)


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p95": round(ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))], 3),
        "max": round(ordered[-1], 3),
    }


if __name__ == "__main__":
    main()
