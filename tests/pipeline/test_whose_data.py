"""A table's rows belong to one account, mode, grid, zone and filter, whatever the pipeline, label or machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import ConfigurationError, Report, load_reports
from stripe_reports_source.emulator import Emulator
from tests.conftest import BOTH, query, source_of
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, load, posts, refusal, rows_of

pytestmark = pytest.mark.long

PAYOUTS = "payouts.itemized"
TABLE = "payouts_itemized"
CONNECTED = "connected_account_payouts.itemized"
Make = Callable[..., Pipeline]
KEYS = ("rk_live_demo", "rk_live_other")
SAME, OTHER = ("reports", "pipelines"), ("others", "elsewhere")
PLACES = pytest.mark.parametrize(
    ("destination", "way", "place"),
    [
        ("duckdb", "load_reports", SAME),
        ("duckdb", "run", OTHER),
        ("postgres", "load_reports", OTHER),
    ],
    indirect=["destination"],
)
"""The same pipeline, or another that shares the dataset and nothing else."""


@pytest.fixture
def shared(start_emulator: Callable[..., Emulator]) -> Emulator:
    """Two accounts with a live key each, of which the first has a test key too."""
    return start_emulator(live_keys=KEYS, accounts={KEYS[1]: "acct_other"})


def assert_refused(emulator: Emulator, pipeline: Pipeline, source: DltSource, way: str, *said: str) -> None:
    """One sentence, before a run is made, and nothing is changed."""
    before, runs = rows_of(pipeline, TABLE, "report_runs"), posts(emulator)
    error = refusal(pipeline, source, way)
    assert isinstance(error, ConfigurationError)
    assert len(str(error)) < 420
    for part in said:
        assert part in str(error)
    assert posts(emulator) == runs
    assert rows_of(pipeline, TABLE, "report_runs") == before


@PLACES
@pytest.mark.parametrize("first", ["live", "test"])
def test_live_and_test_data_are_not_mixed(
    emulator: Emulator, make_pipeline: Make, way: str, place: tuple[str, str], first: str
) -> None:
    keys = {"live": emulator.settings.live_keys[0], "test": emulator.settings.test_keys[0]}
    second = "test" if first == "live" else "live"
    load(make_pipeline(), source_of(emulator, [PAYOUTS], api_key=keys[first]), way)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    other = source_of(emulator, [PAYOUTS], api_key=keys[second])
    said = f"holds {first} data of account 'default', and api_key is a {second} key. Set a {first} key"
    assert_refused(emulator, make_pipeline(*place), other, way, TABLE, said)
    load(make_pipeline(), source_of(emulator, [PAYOUTS], api_key=keys[first]), way)


@WAYS
def test_the_remedy_for_another_mode(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    load(pipeline, source_of(emulator, [PAYOUTS], api_key=emulator.settings.test_keys[0]), way)
    live = source_of(emulator, [PAYOUTS])
    assert_refused(emulator, pipeline, live, way, "refresh='drop_resources'")
    load(pipeline, source_of(emulator, [PAYOUTS]), way, refresh="drop_resources")
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)
    runs = posts(emulator)
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    assert posts(emulator) == runs


@PLACES
def test_a_label_that_changes(emulator: Emulator, make_pipeline: Make, way: str, place: tuple[str, str]) -> None:
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    renamed = source_of(emulator, [PAYOUTS], account="us")
    said = "holds the same Stripe account's rows as account 'default', and would hold them twice"
    assert_refused(emulator, make_pipeline(*place), renamed, way, "account 'us'", TABLE, said)
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    assert_true(emulator, make_pipeline(), [PAYOUTS], end=emulator.service.available_end)


@WAYS
def test_a_label_is_changed_on_purpose(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    load(pipeline, source_of(emulator, [PAYOUTS], account="us"), way, refresh="drop_resources")
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)
    assert query(pipeline, f"SELECT DISTINCT _account FROM {TABLE}") == [("us",)]
    load(pipeline, source_of(emulator, [PAYOUTS], account="us"), way)
    assert_refused(emulator, pipeline, source_of(emulator, [PAYOUTS], account="again"), way, "account 'again'")


@PLACES
def test_two_accounts_under_one_label(shared: Emulator, make_pipeline: Make, way: str, place: tuple[str, str]) -> None:
    load(make_pipeline(), source_of(shared, [PAYOUTS], api_key=KEYS[0]), way)
    shared.advance(shared.settings.available_end + timedelta(days=1))
    other = source_of(shared, [PAYOUTS], api_key=KEYS[1])
    said = "are of another Stripe account than api_key's, which does not know the report run frr_"
    assert_refused(shared, make_pipeline(*place), other, way, "account 'default'", said)
    load(make_pipeline(), source_of(shared, [PAYOUTS], api_key=KEYS[0]), way)
    assert_true(shared, make_pipeline(), [PAYOUTS], end=shared.service.available_end)


def test_two_accounts_at_two_emulators(start_emulator: Callable[..., Emulator], pipeline: Pipeline) -> None:
    first, second = start_emulator(), start_emulator(seed=8)
    load_reports(pipeline, source_of(first, [PAYOUTS]))
    second.advance(second.settings.available_end + timedelta(days=1))
    assert_refused(second, pipeline, source_of(second, [PAYOUTS]), "load_reports", "another Stripe account")


def test_another_account_is_refused_for_each_table_that_shares_the_runs(
    start_emulator: Callable[..., Emulator], pipeline: Pipeline
) -> None:
    copy = Report(PAYOUTS, table_name="payouts_copy")
    load_reports(pipeline, source_of(start_emulator(seed=1), [PAYOUTS, copy]))
    other = start_emulator(seed=2)
    other.advance(other.settings.available_end + timedelta(days=1))
    for report in (copy, PAYOUTS):
        assert_refused(other, pipeline, source_of(other, [report]), "load_reports", "are of another Stripe account")


@WAYS
def test_two_accounts_under_labels_of_their_own(shared: Emulator, make_pipeline: Make, way: str) -> None:
    for _ in range(2):
        for number, key in enumerate(KEYS):
            label = f"account {number}"
            pipeline = make_pipeline(f"pipeline_{number}", f"folder_{number}")
            load(pipeline, source_of(shared, [PAYOUTS], api_key=key, account=label), way)
        shared.advance(shared.service.available_end + timedelta(days=1))
    for number, key in enumerate(KEYS):
        found = query(pipeline, f"SELECT count(*) FROM {TABLE} WHERE _account = %s", f"account {number}")
        last = shared.service.available_end - timedelta(days=1)
        assert found == [(len(shared.truth_for(key, "payouts.itemized.3", shared.settings.first_available, last)),)]


OTHERS: dict[str, dict[str, Any]] = {
    "payouts.itemized|day|UTC": {"interval": "day"},
    "payouts.itemized|month|Europe/Berlin": {"timezone": "Europe/Berlin"},
    'payouts.itemized|{"currency":"eur"}|month|UTC': {"parameters": {"currency": "eur"}},
}


@WAYS
@pytest.mark.parametrize("identity", OTHERS)
def test_another_pipeline_with_other_cells(emulator: Emulator, make_pipeline: Make, way: str, identity: str) -> None:
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    other = make_pipeline("others", "elsewhere")
    source = source_of(emulator, [Report(PAYOUTS, **OTHERS[identity])])
    said = f"holds cells of 'payouts.itemized|month|UTC', and cells of {identity!r} would overlap them"
    assert_refused(emulator, other, source, way, TABLE, said)


@WAYS
def test_another_pipeline_with_the_same_cells(emulator: Emulator, make_pipeline: Make, way: str) -> None:
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    other = make_pipeline("others", "elsewhere")
    load(other, source_of(emulator, [PAYOUTS]), way)
    assert_true(emulator, other, [PAYOUTS], end=emulator.service.available_end)
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    assert_true(emulator, other, [PAYOUTS], end=emulator.service.available_end)


@WAYS
def test_the_remedy_by_another_pipeline(emulator: Emulator, make_pipeline: Make, way: str) -> None:
    """Another table, as the error says; or the table anew, by the pipeline that has loaded it."""
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    other = make_pipeline("others", "elsewhere")
    load(other, source_of(emulator, [Report(PAYOUTS, interval="day", table_name="daily")]), way)
    assert query(other, "SELECT count(*) FROM daily") == query(other, f"SELECT count(*) FROM {TABLE}")
    load(make_pipeline(), source_of(emulator, [PAYOUTS], interval="day"), way, refresh="drop_resources")
    assert_true(emulator, other, [PAYOUTS], end=emulator.settings.available_end, grid="day")
    load(make_pipeline("third", "third"), source_of(emulator, [PAYOUTS], interval="day"), way)
    assert_true(emulator, other, [PAYOUTS], end=emulator.settings.available_end, grid="day")


@pytest.mark.parametrize("each_first", [True, False])
def test_runs_per_account_beside_runs_for_all(
    start_emulator: Callable[..., Emulator], make_pipeline: Make, each_first: bool
) -> None:
    emulator = start_emulator(all_types=True)
    each = {"connected_accounts": list(emulator.settings.connected_accounts)}
    first, second = (each, {}) if each_first else ({}, each)
    load_reports(make_pipeline(), source_of(emulator, [CONNECTED], **first))
    before, runs = rows_of(make_pipeline(), "connected_account_payouts_itemized"), posts(emulator)
    error = refusal(make_pipeline("others", "elsewhere"), source_of(emulator, [CONNECTED], **second), "load_reports")
    assert "connected_account_payouts_itemized" in str(error)
    assert "would overlap them" in str(error)
    assert posts(emulator) == runs
    assert rows_of(make_pipeline(), "connected_account_payouts_itemized") == before


def test_connected_accounts_lie_side_by_side(start_emulator: Callable[..., Emulator], make_pipeline: Make) -> None:
    emulator = start_emulator(all_types=True)
    first, *others = emulator.settings.connected_accounts
    load_reports(make_pipeline(), source_of(emulator, [CONNECTED], connected_accounts=[first]))
    other = make_pipeline("others", "elsewhere")
    load_reports(other, source_of(emulator, [CONNECTED], connected_accounts=others))
    found = query(other, "SELECT count(DISTINCT _interval_key) FROM connected_account_payouts_itemized")
    assert found[0][0] > 3
    runs = posts(emulator)
    load_reports(make_pipeline(), source_of(emulator, [CONNECTED], connected_accounts=[first]))
    assert posts(emulator) == runs


@BOTH
@WAYS
def test_a_dataset_of_an_older_version_is_taken_over(emulator: Emulator, make_pipeline: Make, way: str) -> None:
    """Its ledger lacks the columns that say whose the rows are; the rows themselves do."""
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    for column in ("interval_key", "data_available_end", "livemode"):
        query(make_pipeline(), f"ALTER TABLE report_runs DROP COLUMN {column}")
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    other = make_pipeline("others", "elsewhere")
    for refused, said in (
        ({"interval": "day"}, "would overlap them"),
        ({"api_key": emulator.settings.test_keys[0]}, "holds live data"),
        ({"account": "us"}, "would hold them twice"),
    ):
        error = refusal(other, source_of(emulator, [PAYOUTS], **refused), way)
        assert said in str(error)
    load(make_pipeline(), source_of(emulator, [PAYOUTS]), way)
    assert_true(emulator, other, [PAYOUTS], end=emulator.service.available_end)
    noted = query(other, "SELECT count(*), count(interval_key), count(livemode) FROM report_runs")
    assert noted[0][0] > noted[0][1] == noted[0][2] > 0
