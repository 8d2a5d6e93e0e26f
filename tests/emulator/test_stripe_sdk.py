"""Stripe's own Python SDK talks to the emulator: objects, lists, and its typed errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
import stripe

from stripe_reports_source.emulator import Emulator, Fault

INTERVAL: dict[str, Any] = {
    "interval_start": int(datetime(2025, 1, 6, tzinfo=timezone.utc).timestamp()),
    "interval_end": int(datetime(2025, 2, 1, tzinfo=timezone.utc).timestamp()),
}


def sdk(emulator: Emulator, key: str = "rk_live_demo") -> Any:
    return stripe.StripeClient(key, base_addresses={"api": emulator.api_url}, max_network_retries=0).v1.reporting


def test_report_types(emulator: Emulator) -> None:
    types = sdk(emulator).report_types
    listed = types.list().data
    assert {offered.id for offered in listed} >= {"balance.summary.1", "payout_reconciliation.itemized.5"}
    known = types.retrieve("balance.summary.1")
    assert (known.object, known.version, known.name) == ("reporting.report_type", 1, "Balance summary")


def test_report_runs(emulator: Emulator) -> None:
    runs = sdk(emulator).report_runs
    created = runs.create(
        {"report_type": "payouts.itemized.3", "parameters": {**INTERVAL, "columns": ["net", "payout_id"]}}
    )
    assert created.status == "pending"
    done = runs.retrieve(created.id)
    assert done.status == "succeeded"
    assert done.result.type == "csv"
    assert list(done.parameters.columns) == ["net", "payout_id"]
    for currency in ("usd", "eur", "jpy"):
        runs.create({"report_type": "balance.summary.1", "parameters": {**INTERVAL, "currency": currency}})
    found = [run.id for run in runs.list({"limit": 2}).auto_paging_iter()]
    assert len(found) == 4
    assert found[-1] == created.id


@pytest.mark.parametrize(
    ("key", "call", "error"),
    [
        ("rk_live_wrong", lambda reporting: reporting.report_types.list(), stripe.AuthenticationError),
        ("rk_live_none", lambda reporting: reporting.report_types.list(), stripe.PermissionError),
        ("rk_live_demo", lambda reporting: reporting.report_types.retrieve("no.1"), stripe.InvalidRequestError),
        (
            "rk_live_demo",
            lambda reporting: reporting.report_runs.create({"report_type": "balance.summary.1", "parameters": {}}),
            stripe.InvalidRequestError,
        ),
    ],
    ids=["authentication", "permission", "unknown type", "missing parameter"],
)
def test_typed_errors(emulator: Emulator, key: str, call: Callable[[Any], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(sdk(emulator, key))


def test_rate_limit_and_idempotency_errors(emulator: Emulator) -> None:
    body = '{"error": {"message": "Too many requests", "type": "invalid_request_error", "code": "rate_limit"}}'
    emulator.add_fault(Fault("status", status=429, body=body))
    with pytest.raises(stripe.RateLimitError):
        sdk(emulator).report_types.list()
    runs = sdk(emulator).report_runs
    options = {"idempotency_key": "k"}
    runs.create({"report_type": "balance.summary.1", "parameters": INTERVAL}, options)
    with pytest.raises(stripe.IdempotencyError):
        runs.create({"report_type": "balance.summary.1", "parameters": {**INTERVAL, "currency": "usd"}}, options)
