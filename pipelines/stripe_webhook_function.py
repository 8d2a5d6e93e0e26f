"""Stripe's webhooks in functions: one takes events and puts them on a queue of yours, one loads what they tell of.

Run it by `STRIPE_REPORTS_EMULATOR=1 python pipelines/stripe_webhook_function.py`: an emulator sends a signed event,
and a list plays the queue. In production, API key and endpoint secret come from dlt config, in the environment as
`SOURCES__STRIPE_REPORTS__API_KEY` and `SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS`.
Needs stripe-reports-source and Stripe's own library (`pip install 'stripe-reports-source[webhook]'`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

import dlt

from stripe_reports_source import Loaded, stripe_reports
from stripe_reports_source.webhook import ReportEvent, WebhookRefused, configured_secrets, handle_event, verify_event

REPORTS = ["balance.summary", "payouts.itemized"]


def receive(body: bytes, headers: Mapping[str, str], put: Callable[[str], None]) -> int:
    """The HTTP function: verify, queue, answer. Acknowledge only what is on the queue.

    Args:
        body: the request's body as it came, not parsed and written again.
        headers: the request's headers.
        put: puts text on your queue, and raises if it could not, so that Stripe sends the event again.

    Returns:
        The HTTP status to answer.
    """
    try:
        event = verify_event(body, headers.get("Stripe-Signature"), configured_secrets())
    except WebhookRefused:
        return 400
    if event is not None:  # None: signed, but not about reports
        put(event.to_json())
    return 200


def work(message: str) -> Loaded | None:
    """The queue's function: one message, one sync. If it raises, let the queue deliver the message again.

    A destination that only one process can write, such as a DuckDB file, needs a queue with one worker. Set
    `run_timeout` below your function's limit: a run that takes longer is taken up at its own event.
    """
    pipeline = dlt.pipeline("stripe_reports", destination="duckdb", dataset_name="stripe")
    source = stripe_reports(REPORTS, start_date="2025-06-01", run_timeout=600)
    return handle_event(ReportEvent.from_json(message), pipeline, source)


def rehearse() -> None:
    """Both functions, with an emulator for Stripe and a list for the queue."""
    from stripe_reports_source.emulator import Emulator, sign
    from stripe_reports_source.emulator.events import event_body

    with Emulator() as emulator:
        os.environ["SOURCES__STRIPE_REPORTS__API_KEY"] = emulator.settings.live_keys[0]
        os.environ["SOURCES__STRIPE_REPORTS__API_BASE_URL"] = emulator.api_url
        os.environ["SOURCES__STRIPE_REPORTS__FILES_BASE_URL"] = emulator.files_url
        os.environ["SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS"] = secret = "whsec_rehearsal"  # noqa: S105  # not in use anywhere
        about = emulator.service.get_type("balance.summary.1", live=True)
        body = event_body("evt_rehearsal", "reporting.report_type.updated", about, account=None)
        queue: list[str] = []
        forged = receive(body, {"Stripe-Signature": sign(body, "whsec_other")}, queue.append)
        status = receive(body, {"Stripe-Signature": sign(body, secret)}, queue.append)
        print(f"answers: {forged} to a forgery, {status} to Stripe; on the queue: {len(queue)}")
        for message in queue:
            loaded = work(message)
            if loaded is not None:
                print(f"loaded: {loaded.cells} intervals, {loaded.rows} rows")


if __name__ == "__main__":
    if not os.environ.get("STRIPE_REPORTS_EMULATOR"):
        sys.exit("Copy receive() and work() into your functions; set STRIPE_REPORTS_EMULATOR=1 to see them work.")
    rehearse()
