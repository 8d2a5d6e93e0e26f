"""What is loaded: which cells are the same in all reports, which meet, and where an instant belongs."""

from __future__ import annotations

from datetime import date

import pytest

from stripe_reports_source.reconcile.coverage import Coverage
from stripe_reports_source.reconcile.healing import LoadedData
from stripe_reports_source.reconcile.inputs import INPUTS, cell_name, possible_keys
from tests.reconcile.statements import covered, instant, statement

ACTIVITY, SETTLED, UNSETTLED = (INPUTS[name].base for name in ("activity", "settled", "unsettled"))


def test_cells_of_different_reports_have_one_name() -> None:
    coverage = Coverage([covered(ACTIVITY, 1), covered(SETTLED, 1)])
    assert coverage.cells([ACTIVITY, SETTLED]) == {"shop|month|UTC|2025-01-01"}


@pytest.mark.parametrize(
    "key",
    [
        f"shop|{ACTIVITY}|day|UTC|2025-01-01",
        f'a|b|{ACTIVITY}|{{"currency":"eur|usd"}}|month|Asia/Kolkata|2025-01-01',
        f'shop|{ACTIVITY}|{{"payout":"po_1"}}',
    ],
)
def test_a_key_is_among_those_that_its_cells_name_may_be_of(key: str) -> None:
    cell = cell_name(key, ACTIVITY)
    keys = possible_keys(cell, ACTIVITY)
    assert key in keys
    assert {cell_name(other, ACTIVITY) for other in keys} == {cell}


def test_the_cell_before_is_the_one_that_ends_where_a_cell_begins() -> None:
    coverage = Coverage([covered(name, month) for name in (ACTIVITY, UNSETTLED) for month in (1, 2, 4)])
    for base in (ACTIVITY, UNSETTLED):
        before = coverage.before(base, "shop|month|UTC|2025-02-01")
        assert before is not None
        assert before.day == date(2025, 1, 1)
        assert coverage.before(base, "shop|month|UTC|2025-04-01") is None
        assert coverage.before(base, "shop|month|UTC|2025-01-01") is None
        assert coverage.before(base, "shop|month|UTC|2025-03-01") is None


def test_what_is_to_be_loaded_again_is_so_in_every_table_that_has_it() -> None:
    first, second, other = covered(ACTIVITY, 2), covered(ACTIVITY, 2, table="copy"), covered(ACTIVITY, 1, table="copy")
    data = LoadedData(Coverage([second, other, first]), ())
    spoiled = [statement(equation="rows_stored_equal_file", figure_run=first.run_id, against_run=None)]
    assert data.differing(spoiled, set()) == [first, second]
    assert data.differing(spoiled, {second.place}) == [first]
    assert data.differing(spoiled, {first.place, other.place}) == []


def test_a_snapshot_begins_where_its_day_begins_in_its_zone() -> None:
    cell = covered(UNSETTLED, 2, lane="month|Asia/Kolkata")
    assert cell.start is None
    assert cell.begins == instant(1, 31, 18).replace(minute=30)


def test_spans_are_merged_over_lanes_with_the_same_rows_and_no_others() -> None:
    filtered = 'month|{"currency":"eur"}|month|UTC'.removeprefix("month|")
    coverage = Coverage(
        [
            covered(SETTLED, 1),
            covered(SETTLED, 1, lane=filtered),
            covered(SETTLED, 1, account="store"),
            covered(ACTIVITY, 1, lane="day|Europe/Berlin"),
            covered(ACTIVITY, 2, lane="day|Europe/Berlin"),
            covered(ACTIVITY, 4, lane="day|Europe/Berlin"),
            covered(ACTIVITY, 3, lane=filtered),
        ]
    )
    assert coverage.spans(ACTIVITY, SETTLED) == {
        "shop|month|UTC": [(instant(1), instant(3)), (instant(4), instant(5))],
        f"shop|{filtered}": [(instant(3), instant(4))],
        "store|month|UTC": [],
    }


def test_an_instant_is_found_in_a_lane_of_another_grid() -> None:
    settled = covered(SETTLED, 2)
    coverage = Coverage([settled, covered(ACTIVITY, 1, lane="day|Europe/Berlin")])
    found = coverage.holding(ACTIVITY, settled, instant(1, 20))
    assert found is not None
    assert found.day == date(2025, 1, 1)
    assert coverage.holding(ACTIVITY, settled, instant(2, 20)) is None


def test_of_two_tables_with_a_report_the_one_with_its_name_counts() -> None:
    coverage = Coverage([covered(ACTIVITY, 1, table="a_copy"), covered(ACTIVITY, 1), covered(ACTIVITY, 2)])
    cell = coverage.get(ACTIVITY, "shop|month|UTC|2025-01-01")
    assert cell is not None
    assert cell.table == "balance_change_from_activity_itemized"
    assert coverage.second == {(ACTIVITY, "a_copy", "shop|month|UTC")}
    assert coverage.tables(ACTIVITY) == ["balance_change_from_activity_itemized"]
    renamed = Coverage([covered(ACTIVITY, 1, table="a_copy"), covered(ACTIVITY, 1, table="b", account="store")])
    assert renamed.tables(ACTIVITY) == ["a_copy", "b"]
