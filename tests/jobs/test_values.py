"""Planned cells and fetched files go through JSON and back unchanged, for every kind of report, grid and zone."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source import ConfigurationError, FetchedFile, PlannedCell, Report
from stripe_reports_source.plan.cells import CellRequest
from stripe_reports_source.plan.intervals import GRIDS, Grid, Span
from stripe_reports_source.plan.planned import planned_cell, request_of
from stripe_reports_source.plan.settings import Settings
from tests.unit.planning import Planned, offer, settings
from tests.unit.test_intervals import ZONES, instants, utc

KINDS = {
    "payouts.itemized.3": Report("payouts.itemized", parameters={"currency": "eur"}, table_name="paid"),
    "ending_balance_reconciliation.itemized.4": Report("ending_balance_reconciliation.itemized"),
    "payout_reconciliation.itemized.5": Report(
        "payout_reconciliation.itemized.5", metadata={"payment_metadata[Größe]": "size"}, columns=["net", "currency"]
    ),
    "connected_account_payouts.itemized.1": Report("connected_account_payouts.itemized"),
    "payout_reconciliation.by_id.itemized.4": Report("payout_reconciliation.by_id.itemized"),
    "brand_new.report.7": Report("brand_new.report"),
}


def planned(
    name: str, grid: Grid = "month", zone: str = "UTC", available: Span | None = None
) -> tuple[Settings, list[tuple[CellRequest, PlannedCell]]]:
    """The cells of a report as they are planned, and as jobs."""
    accounts = ("acct_1", "acct_2") if name.startswith("connected") else ()
    own = settings(KINDS[name], grid=grid, zone=zone, connected_accounts=accounts)
    window = available or Span(utc("2025-01-01"), utc("2025-03-10T12:00"))
    payouts = [{"payout": "po_1"}, {"payout": "po_2"}]
    lanes = Planned(own).plan(offer(window, name), payouts=payouts)
    return own, [(request, planned_cell(request, lane, again=False)) for lane in lanes for request in lane.cells]


@given(
    name=st.sampled_from(sorted(KINDS)),
    grid=st.sampled_from(GRIDS),
    zone=st.sampled_from(ZONES),
    start=instants,
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=40)),
)
def test_a_cell_comes_back_as_it_was_planned(
    name: str, grid: Grid, zone: str, start: datetime, length: timedelta
) -> None:
    own, cells = planned(name, grid, zone, Span(start, start + length))
    assert cells
    for request, cell in cells:
        again = PlannedCell.from_json(json.loads(json.dumps(cell.as_json())))
        assert again == cell == pickle.loads(pickle.dumps(cell))
        assert hash(again) == hash(cell)
        back = request_of(again, own)
        assert (back.key, back.cell.first_day, back.cell.span) == (
            request.key,
            request.cell.first_day,
            request.cell.span,
        )
        assert back.cell.whole == request.cell.whole
        assert (back.account, back.label) == (request.account, request.label)
        offered = replace(request.report.offered, name=request.report.offered.id)
        assert len(json.dumps(cell.as_json())) < 1000
        assert back.report == replace(request.report, offered=offered)


def plain(kind: type, values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Values of a dataclass, in each field something of its type unless something else is said."""
    of_type: dict[str, st.SearchStrategy[Any]] = {
        "str": st.text(),
        "int": st.integers(0),
        "bool": st.booleans(),
        "str | None": st.none() | st.text(),
    }
    chosen = {
        field.name: values[field.name] if field.name in values else of_type[str(field.type)] for field in fields(kind)
    }
    return st.builds(kind, **chosen)


TIMES = instants.map(lambda instant: instant.isoformat().replace("+00:00", "Z"))
OBJECTS = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())).map(json.dumps)
DAYS = st.dates().map(str)
CELLS = plain(
    PlannedCell,
    {
        "keys": OBJECTS,
        "default_columns": st.none() | st.lists(st.text()).map(json.dumps),
        "interval_day": DAYS,
        "report_type": st.sampled_from(sorted(KINDS)),
        **dict.fromkeys(("interval_start", "interval_end"), TIMES),
        **dict.fromkeys(("data_available_start", "data_available_end", "data_updated"), TIMES),
    },
)
FILES = plain(
    FetchedFile,
    {
        "cell": CELLS,
        "refused": st.none(),
        "sha256": st.text("0123456789abcdef", min_size=64, max_size=64),
        "run_id": st.from_regex("frr_[A-Za-z0-9]{1,20}", fullmatch=True),
        "run_parameters": OBJECTS,
        **dict.fromkeys(("run_created", "interval_start", "interval_end"), TIMES),
        **dict.fromkeys(("run_succeeded", "file_created"), st.none() | TIMES),
    },
)


@given(FILES)
def test_a_file_comes_back_as_it_was(file: FetchedFile) -> None:
    assert FetchedFile.from_json(json.loads(json.dumps(file.as_json()))) == file
    assert file.path == f"files/{file.sha256}.csv"
    assert file.obtained.run.id == file.run_id


@given(st.data())
def test_what_is_not_a_file_is_refused(data: st.DataObject) -> None:
    """A field that is not there, is of another type, or would lead elsewhere."""
    told = data.draw(FILES).as_json()
    name = data.draw(st.sampled_from(sorted(set(told) - {"refused", "file_created", "run_succeeded", "url"})))
    told[name] = data.draw(st.sampled_from([None, 1.5, [], {}, *([] if name in ("file_id",) else ["../../etc"])]))
    with pytest.raises(ConfigurationError, match=r"is not a (FetchedFile|PlannedCell) of this version"):
        FetchedFile.from_json(told)


@pytest.mark.parametrize("data", [{}, {"cell": 1}, {"cell": {}, "url": "x"}, {"other": 1}], ids=str)
def test_other_objects_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="is not a PlannedCell of this version of the package"):
        FetchedFile.from_json(data)


def test_the_words_of_a_cell() -> None:
    [*_, (_, cell)] = planned("payouts.itemized.3")[1]
    assert cell.title == "payouts.itemized.3 [default] [2025-03-01T00:00:00Z, 2025-03-10T12:00:00Z)"
    assert (cell.table, cell.interval_day, cell.lane) == ("paid", "2025-03-01", "default")
    assert cell.offered.available.end == datetime(2025, 3, 10, 12, tzinfo=timezone.utc)
