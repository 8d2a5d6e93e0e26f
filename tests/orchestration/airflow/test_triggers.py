"""The wait in the triggerer: what it is told, what it asks, when it fires."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import Any

import pytest

pytest.importorskip("airflow", reason='Airflow is not installed: pip install "stripe-reports-source[airflow]"')

from stripe_reports_source import Report, availability, availability_settings, stripe_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.orchestration.airflow import StripeAvailabilityTrigger
from tests.orchestration.world import World

APRIL = datetime(2025, 4, 1, tzinfo=timezone.utc)
KEY = "SOURCES__STRIPE_REPORTS__API_KEY"


def trigger(world: World, until: datetime = APRIL, section: str = "stripe_reports") -> StripeAvailabilityTrigger:
    """As it comes out of Airflow's database."""
    source = world.source(["payouts.itemized"], retry_policy={"attempts": 1})
    settings = availability_settings(source)
    made = StripeAvailabilityTrigger(section, settings, {"payouts_itemized": until.isoformat()}, 0.05)
    path, arguments = made.serialize()
    stored = json.dumps(arguments)
    assert world.key not in stored
    module, _, name = path.rpartition(".")
    again: StripeAvailabilityTrigger = getattr(import_module(module), name)(**json.loads(stored))
    return again


async def first(events: AsyncIterator[Any]) -> Any:
    """What the first event says."""
    async for event in events:
        return event.payload
    return None


def fired(made: StripeAvailabilityTrigger) -> Any:
    """What a trigger says, which must not take long."""
    return asyncio.run(asyncio.wait_for(first(made.run()), 60))


def test_it_fires_when_stripe_has_the_interval_and_asks_one_question(emulator: Emulator, world: World) -> None:
    assert fired(trigger(world, emulator.settings.available_end)) == {"status": "there"}
    assert [(request.method, request.path) for request in emulator.requests] == [("GET", "/v1/reporting/report_types")]


def test_it_waits_for_stripe_and_holds_no_other_trigger_up(emulator: Emulator, world: World) -> None:
    async def both() -> Any:
        waiting = asyncio.create_task(first(trigger(world).run()))
        while len(emulator.requests) < 3:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        emulator.advance(APRIL)
        return await waiting

    assert asyncio.run(asyncio.wait_for(both(), 60)) == {"status": "there"}


def test_stripe_that_is_at_fault_is_asked_again(emulator: Emulator, world: World) -> None:
    emulator.add_fault(Fault("status", status=503, times=2))
    assert fired(trigger(world, emulator.settings.available_end)) == {"status": "there"}
    assert len(emulator.requests) == 3


def test_a_wrong_key_ends_the_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "rk_live_" + "wrong")
    found = fired(trigger(world))
    assert (found["status"], found["lasting"]) == ("failed", True)
    assert "Set an api_key that is valid" in found["message"]
    assert "wrong" not in found["message"]


def test_without_a_key_it_says_where_to_set_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trigger(world, section="eu")
    monkeypatch.delenv(KEY)
    found = fired(made)
    assert found["lasting"]
    assert "[sources.stripe_reports.eu]" in found["message"]


def test_a_source_of_another_name_has_a_key_of_its_own(
    emulator: Emulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trigger(world, emulator.settings.available_end, section="eu")
    monkeypatch.setenv(KEY, "rk_live_" + "wrong")
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__EU__API_KEY", world.key)
    assert fired(made) == {"status": "there"}


def test_a_report_that_is_not_offered_is_not_waited_for(emulator: Emulator, world: World) -> None:
    emulator.alter("payouts.itemized.3", hidden=True)
    emulator.alter("payouts.itemized.2", hidden=True)
    emulator.alter("payouts.itemized.1", hidden=True)
    assert fired(trigger(world, APRIL + timedelta(days=999))) == {"status": "there"}


def test_the_settings_ask_the_same_question_and_hold_no_key(emulator: Emulator, world: World) -> None:
    named = Report("payouts.itemized", table_name="paid", interval="day")
    source = world.source(["balance.summary", named], stripe_account="acct_1032D82eZvKYlo2C")
    settings = availability_settings(source)
    assert world.key not in json.dumps(settings)
    assert availability(stripe_reports(**settings)) == availability(source)
    assert {request.headers["stripe-account"] for request in emulator.requests} == {"acct_1032D82eZvKYlo2C"}
