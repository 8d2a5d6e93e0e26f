"""An item that is open never vanishes: it keeps its key, and gets a new status."""

from __future__ import annotations

from pathlib import Path

import pytest
from dlt import Pipeline
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.proof import look_and_keep, reconcile
from stripe_reports_source.reconcile.kept import loaded_since
from stripe_reports_source.reconcile.open_items import Looked, settled_since
from stripe_reports_source.reconcile.scope import Scope, unproven
from stripe_reports_source.warehouse.query import reading
from tests.conftest import query
from tests.reconcile.statements import instant, statement
from tests.reconcile.test_plants import PLANTED
from tests.reconcile.worlds import Worlds, looked, spoil

CELL = "shop|month|UTC|2025-02-01"


def key(item: Statement) -> tuple[str, ...]:
    """What tells statements apart."""
    return item.equation, item.account, item.interval_key, item.currency, item.item


def settled(item: Statement, looked_at: Looked, *found: Statement) -> Statement | None:
    """What becomes of an item that was open."""
    return settled_since([item], {key(other): other for other in found}, looked_at, instant(6)).get(key(item))


def test_an_item_that_a_look_does_not_find_any_more_ties() -> None:
    item = statement()
    tied = settled(item, Looked({(item.equation, item.interval_key): True}, {CELL}, None))
    assert tied is not None
    assert (tied.status, tied.reason) == ("tied", "Agrees now; it was variance before.")
    assert tied.difference == 0


def test_an_item_that_cannot_be_compared_any_more_says_so() -> None:
    item = statement()
    for looked_at in (Looked({(item.equation, item.interval_key): False}, {CELL}, None), Looked({}, set(), None)):
        now = settled(item, looked_at)
        assert now is not None
        assert now.status == "not_comparable"
        assert now.difference is None


def test_an_item_that_was_not_looked_at_stays_as_it_is() -> None:
    assert settled(statement(), Looked({}, {CELL}, None)) is None
    assert settled(statement(), Looked({}, set(), instant(3).date())) is None


def test_what_was_tied_is_not_said_of_what_is_not_loaded_any_more() -> None:
    item = statement(item="", status="tied")
    pair = item.equation, item.interval_key
    gone = settled(item, Looked({}, {CELL}, None, whole=True))
    assert gone is not None
    assert gone.status == "not_comparable"
    assert settled(item, Looked({pair: False}, {CELL}, None, whole=True)) is not None
    assert settled(item, Looked({pair: True}, {CELL}, None, whole=True)) is None
    assert settled(item, Looked({}, {CELL}, instant(3).date(), whole=True)) is None
    assert settled(item, Looked({}, {CELL}, None, whole=True), statement(currency="eur")) is None


@pytest.mark.long
def test_an_interval_lost_from_the_ledger_does_not_tie_in_the_table(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    lost = "interval_key = 'shop|balance_change_from_activity.itemized|month|UTC|2025-02-01'"
    said = f"SELECT DISTINCT status FROM tie_out WHERE {lost} AND equation <> 'rows_stored_equal_file'"
    assert ("tied",) in query(pipeline, said)
    spoil(pipeline, f"DELETE FROM report_cells WHERE {lost}")
    reconcile(pipeline)
    assert query(pipeline, said) == [("not_comparable",)]


@given(
    statuses=st.lists(st.sampled_from(("variance", "stale", "pending", "explained", "not_comparable")), min_size=1),
    compared=st.sampled_from((True, False, None)),
    found=st.integers(0, 3),
)
def test_no_key_is_lost(statuses: list[str], compared: bool | None, found: int) -> None:
    before = [statement(item=f"txn_{number}", status=status) for number, status in enumerate(statuses)]
    again = {key(item): item for item in before[:found]}
    pairs = {} if compared is None else {(before[0].equation, before[0].interval_key): compared}
    after = {**again, **settled_since(before, again, Looked(pairs, {CELL}, None), instant(6))}
    expected = {key(item) for item in (before if compared is not None else before[:found])}
    assert set(after) == expected


def test_over_several_looks_each_item_keeps_its_key(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    spoil(
        pipeline,
        "CREATE TABLE kept AS SELECT * FROM balance_change_from_activity_itemized",
        "UPDATE balance_change_from_activity_itemized SET net = net + 0.01 WHERE balance_transaction_id IN ("
        "SELECT MIN(balance_transaction_id) FROM kept GROUP BY _interval_key, currency)",
    )
    opened = {key(item) for item in reconcile(pipeline).variances}
    assert {item[0] for item in opened} >= {"row_adds_up", "itemized_equals_summary", "rows_stored_equal_file"}
    again = reconcile(pipeline)
    assert {key(item) for item in again.variances} == opened
    spoil(
        pipeline,
        "DELETE FROM balance_change_from_activity_itemized",
        "INSERT INTO balance_change_from_activity_itemized SELECT * FROM kept",
    )
    healed = {key(item): item.status for item in reconcile(pipeline).statements}
    assert opened <= set(healed)
    assert {healed[item] for item in opened} == {"tied"}
    stored = {
        tuple(row[:-1]): row[-1]
        for row in query(pipeline, "SELECT equation, account, interval_key, currency, item, status FROM tie_out")
    }
    assert {stored[item] for item in opened} == {"tied"}


PAYOUTS = "payouts_itemized"
OF_JANUARY = f"interval_key = 'shop|{PAYOUTS.replace('_', '.')}|month|UTC|2025-01-01'"
FIRST = f"(SELECT MIN(payout_id) FROM {PAYOUTS} WHERE _interval_day = '2025-01-01')"
SPOILT = f"UPDATE {PAYOUTS} SET net = net + 1, gross = gross + 1 WHERE payout_id = {FIRST}"
PUT_RIGHT = SPOILT.replace(" + 1", " - 1")
JANUARY = Scope(frozenset({"shop|month|UTC|2025-01-01"}))


@pytest.mark.long
@pytest.mark.parametrize("scope", [Scope(), JANUARY], ids=["all", "touched"])
def test_an_item_that_was_open_once_keeps_its_row(scope: Scope, worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    spoil(pipeline, SPOILT)
    opened = {key(item) for item in reconcile(pipeline).variances}
    assert opened
    spoil(pipeline, PUT_RIGHT)
    reconcile(pipeline)
    for _ in range(2):
        again = {key(item): item for item in looked(pipeline, scope)}
        assert {again[item].status for item in opened} == {"tied"}
        assert {again[item].reason for item in opened if item[4]} == {"Agrees now; it was variance before."}
        reconcile(pipeline)


def test_what_was_lost_and_is_loaded_again_keeps_its_row() -> None:
    item = statement()
    pair = item.equation, item.interval_key
    gone = settled(item, Looked({}, set(), None))
    assert gone is not None
    back = settled(gone, Looked({pair: True}, {CELL}, None))
    assert back is not None
    assert (back.status, back.reason) == ("tied", "Agrees now; it was not loaded before.")
    assert settled(back, Looked({pair: True}, {CELL}, None)) == back


def test_what_was_explained_once_leaves_the_table_when_it_ties() -> None:
    pair = Looked({(statement().equation, statement().interval_key): True}, {CELL}, None)
    tied = settled(statement(status="explained"), pair)
    assert tied is not None
    assert settled(tied, pair) is None


def test_an_interval_that_is_loaded_again_was_looked_at_though_an_item_of_its_was_open(
    worlds: Worlds, tmp_path: Path
) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    spoil(pipeline, SPOILT)
    reconcile(pipeline)
    spoil(
        pipeline,
        PUT_RIGHT,
        f"UPDATE report_runs SET run_id = 'frr_0' WHERE {OF_JANUARY}",
        f"UPDATE report_cells SET run_id = 'frr_0' WHERE {OF_JANUARY}",
    )
    assert loaded_since(pipeline) == {(PAYOUTS, "shop"): 1}
    reconcile(pipeline)
    assert loaded_since(pipeline) == {}


def look_at_what_is_new(pipeline: Pipeline) -> None:
    """What each load ends with."""
    with reading(pipeline) as reader:
        scope = unproven(reader)
    assert scope is not None
    look_and_keep(pipeline, "stripe_reports", scope)


@pytest.mark.parametrize("clock", ["0000000001.0", "9999999999.0"], ids=["behind", "ahead"])
def test_an_interval_is_loaded_since_whatever_clock_has_named_its_load_package(
    clock: str, worlds: Worlds, tmp_path: Path
) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    reconcile(pipeline)
    loaded_again(pipeline, clock)
    assert loaded_since(pipeline) == {(PAYOUTS, "shop"): 1}
    look_at_what_is_new(pipeline)
    assert loaded_since(pipeline) == {}


def test_what_an_older_version_has_looked_at_is_not_looked_at_again(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    reconcile(pipeline)
    spoil(pipeline, "ALTER TABLE tie_out DROP COLUMN package")
    schema = pipeline.schemas["stripe_reports"]
    del schema.tables["tie_out"]["columns"]["package"]
    pipeline.schemas.save_schema(schema)
    assert loaded_since(pipeline) == {}
    loaded_again(pipeline, "9999999999.0")
    assert loaded_since(pipeline) == {(PAYOUTS, "shop"): 1}
    look_at_what_is_new(pipeline)
    assert loaded_since(pipeline) == {}
    said = "SELECT DISTINCT package FROM tie_out WHERE equation = 'rows_stored_equal_file' AND {0}"
    assert query(pipeline, said.format(OF_JANUARY)) == [("9999999999.0",)]


def loaded_again(pipeline: Pipeline, load: str) -> None:
    """As if a load package of some name had replaced January, from the same run."""
    spoil(pipeline, f"UPDATE report_cells SET _dlt_load_id = '{load}' WHERE {OF_JANUARY}")


def test_more_items_than_are_kept_one_by_one_are_one_sum(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    copies = (
        "INSERT INTO {0} SELECT {0}.* REPLACE (balance_transaction_id || n AS balance_transaction_id) "
        "FROM {0}, range(30) AS numbers(n) WHERE _interval_day = '2025-02-01'"
    )
    spoil(pipeline, copies.format("payout_reconciliation_itemized"))
    found = [
        item
        for item in looked(pipeline)
        if item.equation == "settled_row_equals_activity_row" and item.status == "variance" and item.currency == "usd"
    ]
    assert len(found) == 101
    others = [item for item in found if item.item.startswith("(others)")]
    assert len(others) == 1
    assert "more transactions than are kept one by one" in others[0].reason
