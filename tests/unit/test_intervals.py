"""The grid: cells join without gap or overlap, in every zone and across clock changes."""

from __future__ import annotations

import itertools
import time
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.plan.intervals import (
    GRIDS,
    Cell,
    Grid,
    Span,
    cells,
    count_on_grid,
    cuts_loaded,
    day_of,
    floor_to_grid,
    parse_day,
    parse_zone,
    start_of_day,
    sync_window,
)

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Havana",
    "Pacific/Apia",
]
UTC = timezone.utc


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


instants = st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))
zones = st.sampled_from(ZONES).map(ZoneInfo)
grids = st.sampled_from(GRIDS)


@given(instants, st.timedeltas(timedelta(seconds=1), timedelta(days=120)), zones, grids)
def test_cells_cover_a_window_exactly_once(start: datetime, length: timedelta, zone: ZoneInfo, grid: Grid) -> None:
    window = Span(start, start + length)
    found = list(cells(window, grid, zone))
    assert found[0].span.start == window.start
    assert found[-1].span.end == window.end
    for before, after in itertools.pairwise(found):
        assert before.span.end == after.span.start == before.whole.end == after.whole.start
    for cell in found:
        assert not cell.span.empty
        assert cell.whole.covers(cell.span)
    skipped = zone.key == "Pacific/Apia" and grid == "day"  # a zone that has skipped a day
    counted = count_on_grid(found[0].first_day, found[-1].first_day, grid)
    assert len(found) == counted or (skipped and len(found) == counted - 1)


@given(instants, zones, grids)
def test_a_cell_does_not_depend_on_the_window(instant: datetime, zone: ZoneInfo, grid: Grid) -> None:
    [small] = cells(Span(instant, instant + timedelta(seconds=1)), grid, zone)
    wide = cells(Span(instant - timedelta(days=40), instant + timedelta(days=40)), grid, zone)
    [same] = [cell for cell in wide if cell.whole.start <= instant < cell.whole.end]
    assert (same.first_day, same.whole) == (small.first_day, small.whole)


@given(instants, zones, grids)
def test_cells_begin_where_local_days_begin(instant: datetime, zone: ZoneInfo, grid: Grid) -> None:
    [cell] = cells(Span(instant, instant + timedelta(seconds=1)), grid, zone)
    start = cell.whole.start
    assert day_of(start, zone) != day_of(start - timedelta(seconds=1), zone)
    assert floor_to_grid(day_of(instant, zone), grid) == cell.first_day
    if grid == "week":
        assert cell.first_day.weekday() == 0
    if grid == "month":
        assert cell.first_day.day == 1


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2025, 3, 9), 23),
        ("America/New_York", date(2025, 11, 2), 25),
        ("Europe/Berlin", date(2025, 3, 30), 23),
        ("Europe/Berlin", date(2025, 10, 26), 25),
        ("Australia/Lord_Howe", date(2025, 4, 6), 24.5),
        ("Australia/Lord_Howe", date(2025, 10, 5), 23.5),
        ("Asia/Kolkata", date(2025, 3, 30), 24),
        ("America/Havana", date(2025, 3, 9), 23),  # midnight itself is skipped
    ],
)
def test_days_of_clock_changes(zone: str, day: date, hours: float) -> None:
    start = start_of_day(day, ZoneInfo(zone))
    [cell] = cells(Span(start, start + timedelta(seconds=1)), "day", ZoneInfo(zone))
    assert cell.whole.end - cell.whole.start == timedelta(hours=hours)


def test_a_day_that_a_zone_skipped_has_no_cell() -> None:
    apia = ZoneInfo("Pacific/Apia")
    window = Span(start_of_day(date(2011, 12, 29), apia), start_of_day(date(2012, 1, 1), apia))
    assert [cell.first_day.day for cell in cells(window, "day", apia)] == [29, 31]


def test_no_cells_of_an_empty_window() -> None:
    now = utc("2025-01-01")
    assert list(cells(Span(now, now), "day", ZoneInfo("UTC"))) == []


AVAILABLE = Span(utc("2025-01-05"), utc("2025-04-10T12:00:00"))


@pytest.mark.parametrize(
    ("first", "cursor", "lookback", "start"),
    [
        (None, None, 3, "2025-01-05"),  # all there is
        ("2024-01-01", None, 3, "2025-01-05"),  # clamped
        ("2025-02-10", None, 3, "2025-02-10"),  # not before what the user wants
        (None, "2025-04-08", 3, "2025-04-01"),  # the cell in progress, whole
        (None, "2025-04-02", 3, "2025-03-01"),  # the lookback reaches into the cell before
        (None, "2025-04-01", 0, "2025-04-01"),  # a whole cell is not read again without lookback
        (None, "2025-01-20", 30, "2025-01-05"),  # never before Stripe's data
        ("2025-01-10", "2025-01-20", 3, "2025-01-10"),
    ],
)
def test_sync_window(first: str | None, cursor: str | None, lookback: int, start: str) -> None:
    window = sync_window(
        AVAILABLE,
        grid="month",
        zone=ZoneInfo("UTC"),
        first=utc(first) if first else None,
        cursor=utc(cursor) if cursor else None,
        lookback_days=lookback,
    )
    assert window == Span(utc(start), AVAILABLE.end)


def test_lookback_counts_local_days() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    cursor = utc("2025-03-30T22:30:00")  # half past midnight on the 31st in Berlin
    window = sync_window(AVAILABLE, grid="day", zone=berlin, first=None, cursor=cursor, lookback_days=1)
    assert window.start == utc("2025-03-29T23:00:00")


def january(start: str, end: str) -> Cell:
    whole = Span(utc("2025-01-01"), utc("2025-02-01"))
    return Cell(date(2025, 1, 1), whole, Span(utc(start), utc(end)))


@pytest.mark.parametrize(
    ("start", "end", "loaded", "cuts"),
    [
        ("2025-01-01", "2025-02-01", ("2025-01-01", "2025-02-01"), False),
        ("2025-01-10", "2025-02-01", ("2025-01-01", "2025-02-01"), True),
        ("2025-01-01", "2025-01-20", ("2025-01-01", "2025-02-01"), True),
        ("2025-01-10", "2025-02-01", ("2025-01-10", "2025-03-01"), False),  # as it was first loaded
        ("2025-01-10", "2025-01-20", ("2025-02-01", "2025-03-01"), False),  # nothing of it is loaded
        ("2025-01-10", "2025-01-20", None, False),
    ],
)
def test_a_part_never_replaces_more_than_itself(
    start: str, end: str, loaded: tuple[str, str] | None, cuts: bool
) -> None:
    hull = Span(utc(loaded[0]), utc(loaded[1])) if loaded else None
    assert cuts_loaded(january(start, end), hull) is cuts


@pytest.mark.parametrize(
    "value", ["2025-13-01", "2025-02-30", "20250101", "2025-W01-1", "yesterday", datetime(2025, 1, 1), 5]
)
def test_days_are_days(value: object) -> None:
    with pytest.raises(ConfigurationError, match="start_date"):
        parse_day(value, "start_date")  # type: ignore[arg-type]


def test_days_and_zones_parse() -> None:
    assert parse_day("2025-01-31", "x") == parse_day(date(2025, 1, 31), "x") == date(2025, 1, 31)
    assert parse_day(None, "x") is None
    assert parse_zone("Asia/Kolkata").key == "Asia/Kolkata"
    for name in ("Mars/Olympus", "", "../etc/passwd", "/etc/localtime"):
        with pytest.raises(ConfigurationError, match="timezone"):
            parse_zone(name)


def test_spans() -> None:
    early, middle, late = (datetime(2025, 1, day, 12, tzinfo=timezone.utc) for day in (1, 2, 3))
    assert Span(early, middle).hull(None) == Span(early, middle)
    assert Span(early, middle).hull(Span(middle, late)) == Span(early, late)
    assert Span(middle, late).hull(Span(early, middle)) == Span(early, late)
    assert Span(early, late).hull(Span(middle, middle)) == Span(early, late)
    assert str(Span(early, late)) == "[2025-01-01T12:00:00Z, 2025-01-03T12:00:00Z)"


def test_sentences() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_zone("Mars/Base")
    assert str(caught.value) == (
        "timezone 'Mars/Base' is not a time zone; use an IANA name such as 'UTC' or 'America/New_York'."
    )
    with pytest.raises(ConfigurationError) as caught:
        parse_day("2025-1-1", "start_date")
    assert str(caught.value) == (
        "start_date '2025-1-1' is not a calendar day; write it as YYYY-MM-DD, such as '2025-01-31'."
    )


def test_the_machines_own_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        start = start_of_day(date(2025, 1, 1), parse_zone("America/New_York"))
        assert start.utcoffset() == timedelta(0)
        assert str(Span(start, start)) == "[2025-01-01T05:00:00Z, 2025-01-01T05:00:00Z)"
    finally:
        monkeypatch.undo()
        time.tzset()
