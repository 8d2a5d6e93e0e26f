"""Objects of Stripe's are read whole or refused in this package's own words, whatever stands in them."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.errors import StripeUnreachable
from stripe_reports_source.plan.stripe_objects import OfferedType, ReportRun, is_id
from stripe_reports_source.plan.texts import printable

TYPE: dict[str, Any] = {
    "id": "balance.summary.1",
    "name": "Balance",
    "version": 1,
    "data_available_start": 1735689600,
    "data_available_end": 1738368000,
    "default_columns": ["category"],
    "updated": 1738370000,
    "livemode": True,
}
FILE: dict[str, Any] = {"id": "file_1", "url": "https://files.stripe.com/v1/files/file_1/contents", "size": 10}
RUN: dict[str, Any] = {
    "id": "frr_1",
    "report_type": "balance.summary.1",
    "status": "succeeded",
    "parameters": {"interval_start": 1735689600, "columns": ["category"], "currency": None},
    "created": 1738370000,
    "succeeded_at": 1738370001,
    "error": None,
    "result": FILE,
    "livemode": True,
}
YEAR_10000 = 253402300800
ABSURD: list[Any] = [None, True, -1, 1.5, 1e30, math.nan, math.inf, 10**40, "1738370000", [], {"a": [{}]}, YEAR_10000]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["pending", "acct_1", 1738370000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_whole_objects() -> None:
    found = OfferedType.from_json(TYPE)
    assert (found.version, found.available.start) == (1, datetime(2025, 1, 1, tzinfo=timezone.utc))
    run = ReportRun.from_json(RUN)
    assert run.result is not None
    assert (run.result.size, run.livemode, run.parameters["columns"]) == (10, True, ["category"])
    assert ReportRun.from_json({**RUN, "parameters": {"interval_start": "1735689600"}}).parameters == {
        "interval_start": 1735689600
    }


@pytest.mark.parametrize("value", ABSURD, ids=repr)
@pytest.mark.parametrize("name", ["version", "data_available_start", "data_available_end", "updated"])
def test_absurd_numbers_of_a_type(name: str, value: Any) -> None:
    with pytest.raises(StripeUnreachable, match=rf"report type \('balance\.summary\.1'\) that cannot be read: {name} "):
        OfferedType.from_json({**TYPE, name: value})


def test_data_that_ends_before_it_begins() -> None:
    with pytest.raises(StripeUnreachable, match="data_available_start lies after data_available_end"):
        OfferedType.from_json({**TYPE, "data_available_end": 1})


@pytest.mark.parametrize("value", ABSURD, ids=repr)
def test_absurd_numbers_of_a_run(value: Any) -> None:
    odd: list[dict[str, Any]] = [
        {"created": value},
        {"result": {**FILE, "size": value if value != YEAR_10000 else 1 << 50}},
    ]
    if value not in (None, "1738370000"):
        odd.append({"parameters": {"interval_end": value}})
    for changed in odd:
        with pytest.raises(StripeUnreachable, match=r"report run \('frr_1'\) that cannot be read: "):
            ReportRun.from_json({**RUN, **changed})


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "../charges"},
        {"id": "frr_1?x=y"},
        {"id": ".."},
        {"id": ""},
        {"id": 5},
        {"report_type": "a b"},
        {"status": "canceled"},
        {"status": ["pending"]},
        {"result": None},
        {"result": []},
        {"result": {**FILE, "id": "../../etc/passwd"}},
        {"result": {**FILE, "url": "https://other\\@files.stripe.com/x"}},
        {"result": {**FILE, "url": None}},
        {"error": {"message": "x"}},
        {"parameters": []},
        {"parameters": {"columns": [["a"]]}},
        {"parameters": {"a": 1.5}},
        {"parameters": {"a": "\ud800"}},
        {"livemode": "yes"},
    ],
    ids=repr,
)
def test_odd_runs(odd: dict[str, Any]) -> None:
    with pytest.raises(StripeUnreachable, match="report run"):
        ReportRun.from_json({**RUN, **odd})


@given(st.sampled_from([TYPE, RUN]), st.dictionaries(st.sampled_from([*TYPE, *RUN]), ANYTHING, max_size=4), ANYTHING)
def test_whatever_comes_is_read_or_refused(whole: dict[str, Any], odd: dict[str, Any], other: Any) -> None:
    for read in (OfferedType.from_json, ReportRun.from_json):
        for data in ({**whole, **odd}, other):
            said = ""
            try:
                read(data)
            except StripeUnreachable as error:
                said = str(error)
            assert said.isprintable()
            assert len(said) < 600


def test_texts_that_reach_people_hold_no_control_characters() -> None:
    run = ReportRun.from_json({**RUN, "status": "failed", "error": "no\x1b[2Jw\r\nat \u202elast\u2028\ud800"})
    assert run.error == "no?[2Jw at ?last ?"
    assert printable("a" * 50, 10) == "aaaaaaa..."
    assert printable(None) == "None"


def test_ids() -> None:
    for good in ("frr_1", "file_1AbC", "payout_reconciliation.itemized.5", "a-b"):
        assert is_id(good)
    for bad in ("", ".", "-a", "a/b", "a%2f", "a\n", "é", "a" * 256, None, 5):
        assert not is_id(bad)
