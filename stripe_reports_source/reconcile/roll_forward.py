"""The balance rolled forward over a window: opening, what came in and went out, closing, and what Stripe says of each.

In: an open dataset and its coverage. Out: a `RollForward` for each account, lane and currency, from SQL over the same
inputs as the equations. The window is a month, or all from a day on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from .coverage import Coverage
from .equations import read_sql
from .inputs import INPUTS, Input, ReportTable, lacking
from .window_query import window_query
from .windows import Window, window_of

Answer = Callable[[str], list[tuple[Any, ...]]]

LINES = ("opening", "activity", "activity_total", "payouts", "payouts_total", "closing", "unsettled")
"""In this order; `activity` and `payouts` are one line for each category."""
_ROWS_OF = {"activity": "activity", "payouts": "payouts", "unsettled": "unsettled"}
_SUMMARY_OF = {"activity": "activity_summary", "payouts": "payouts_summary"}
_NEEDED = ("gross", "fee", "net", "currency", "category", "line_count")
_ROLLED = ("activity", "payouts")


@dataclass(frozen=True)
class Line:
    """A line: its figures from rows, as effect on the balance, and Stripe's own; None where there are none.

    Args:
        line: one of `LINES`.
        category: Stripe's reporting category, of activity and payouts.
        rows, gross, fee, net: from the rows of the itemized reports.
        stripe_rows, stripe_gross, stripe_fee, stripe_net: from `balance.summary` and the other summaries.
        difference: net less Stripe's.
    """

    line: str
    category: str
    rows: int | None
    gross: Decimal | None
    fee: Decimal | None
    net: Decimal | None
    stripe_rows: int | None
    stripe_gross: Decimal | None
    stripe_fee: Decimal | None
    stripe_net: Decimal | None
    difference: Decimal | None


@dataclass(frozen=True)
class PaidOut:
    """The payouts of a window: their number and sum; how many are equal to their rows, and how many have none."""

    payouts: int
    amount: Decimal
    equal: int | None
    without_rows: int | None


@dataclass(frozen=True)
class Returned:
    """A payout whose money came back in the window, and the payout that has paid it again, if one has.

    `again_known` is False where what payouts have settled is not loaded, so that nobody can say whether one has.
    """

    payout: str
    amount: Decimal
    returned_at: datetime | None
    paid_again_by: str | None
    paid_again_at: datetime | None
    again_known: bool = True


@dataclass(frozen=True)
class RollForward:
    """The balance of a currency of an account over a window; `connected` where it is of connected accounts."""

    account: str
    connected: bool
    currency: str
    window: Window
    lines: tuple[Line, ...]
    paid_out: PaidOut | None
    returned: tuple[Returned, ...]


def roll_forwards(
    answer: Answer,
    coverage: Coverage,
    inputs: Mapping[str, Input],
    tables: Mapping[str | None, Mapping[str, Sequence[ReportTable]]],
    since: date | None,
) -> list[RollForward]:
    """Roll the balance forward, one account after the other.

    Args:
        answer: gives the rows of a query.
        coverage: what is loaded.
        inputs: what an input's name stands for.
        tables: that hold the report of an input, by the filters of what is in them; None where all have the same.
        since: the window begins there; None for the last month that is complete.
    """
    found = []
    for lane, filters in _lanes(coverage, inputs):
        window = window_of(coverage, {name: about.base for name, about in inputs.items()}, lane, since)
        if window is not None:
            found += list(_of_window(answer, inputs, tables.get(filters) or tables[None], window))
    return found


def _lanes(coverage: Coverage, inputs: Mapping[str, Input]) -> list[tuple[str, str]]:
    """Those of balance summaries, with their filters; of what an account has no such summary, those of its activity."""
    by_account: dict[str, dict[str, set[tuple[str, str]]]] = {}
    for cells in coverage.lanes():
        cell = cells[0]
        by_account.setdefault(cell.account, {}).setdefault(cell.base, set()).add((cell.lane, cell.filters))
    lanes: list[tuple[str, str]] = []
    for _, of_account in sorted(by_account.items()):
        chosen = (of_account.get(inputs[name].base) for name in ("balance", "activity", "payouts"))
        lanes += sorted(next((some for some in chosen if some), set()))
    return lanes


def _of_window(
    answer: Answer, inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]], window: Window
) -> Iterator[RollForward]:
    def ask(file: str) -> list[tuple[Any, ...]]:
        sql = read_sql(file)
        return answer(window_query(sql, inputs, tables, window))

    window = replace(window, loaded=frozenset(name for name in window.loaded if not _lacks(inputs, tables, name)))
    lines: dict[str, dict[tuple[str, str], Line]] = {}
    for _, currency, line, category, *numbers in ask("roll_forward"):
        lines.setdefault(currency, {})[line, category] = _line(line, category, numbers, window)
    paid = {row[1]: row[2:] for row in ask("payouts_paid")} if "payouts" in window.loaded else {}
    known = "settled" in window.loaded and not any(
        lacking(inputs[name], tables[name], ("transaction_id",)) for name in ("payouts", "settled")
    )
    returned = [_returned(row, known) for row in ask("payouts_returned")] if "payouts" in window.loaded else []
    for currency in sorted(lines):
        if not currency and not any(line.net or line.stripe_net for line in lines[currency].values()):
            continue  # Stripe writes no currency on payout lines of an interval without payouts
        yield RollForward(
            window.account,
            inputs["balance"].base != INPUTS["balance"].base,
            currency,
            window,
            _complete(lines[currency], window),
            _paid_out(paid.get(currency), window),
            tuple(sorted((payout for other, payout in returned if other == currency), key=_by_time)),
        )


def _lacks(inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]], name: str) -> bool:
    """Whether a report is loaded without a column that its figures need."""
    needed = (*_NEEDED, "payout_id") if name in ("payouts", "settled") else _NEEDED
    return bool(lacking(inputs[name], tables[name], needed))


def _complete(found: Mapping[tuple[str, str], Line], window: Window) -> tuple[Line, ...]:
    """The lines in order, with those that no row and no summary has said anything of."""
    whole = dict(found)
    for name in LINES:
        if name not in _ROLLED and (name, "") not in whole:
            whole[name, ""] = _line(name, "", [None] * 9, window)
    return tuple(whole[key] for key in sorted(whole, key=lambda key: (LINES.index(key[0]), key[1])))


def _line(name: str, category: str, numbers: Sequence[Any], window: Window) -> Line:
    """A side that is loaded and says nothing is zero; one that is not loaded is None."""
    count, gross, fee, net, stripe_count, stripe_gross, stripe_fee, stripe_net, difference = numbers
    own = _is_loaded(name, window)
    stripe = _SUMMARY_OF.get(name, "balance") in window.loaded
    # where payouts have no rows, their charges are left for good, and nothing is compared
    stripe = stripe and not (name == "unsettled" and stripe_net is None)
    counted = own and name not in ("opening", "closing")
    # the first opening of all has nothing to compare with
    compared = own and stripe and (name != "opening" or window.cell_before is not None)
    return Line(
        line=name,
        category=category,
        rows=int(count or 0) if counted else None,
        gross=exact(gross) if counted else None,
        fee=exact(fee) if counted else None,
        net=exact(net) if own else None,
        stripe_rows=int(stripe_count or 0) if stripe and category else None,
        stripe_gross=exact(stripe_gross) if stripe and category else None,
        stripe_fee=exact(stripe_fee) if stripe and category else None,
        stripe_net=exact(stripe_net) if stripe else None,
        difference=exact(difference) if compared else None,
    )


def _is_loaded(name: str, window: Window) -> bool:
    """Whether there are rows for a line."""
    if name == "opening":
        return "balance" in window.loaded
    if name == "closing":
        return window.loaded >= {"balance", *_ROLLED}
    return _ROWS_OF.get(name.removesuffix("_total"), "") in window.loaded


def _paid_out(found: Sequence[Any] | None, window: Window) -> PaidOut | None:
    if found is None:
        return None
    payouts, amount, equal, without_rows = found
    known = window.loaded >= {"settled", "activity"}
    return PaidOut(int(payouts), exact(amount), int(equal) if known else None, int(without_rows) if known else None)


def _returned(row: Sequence[Any], known: bool) -> tuple[str, Returned]:
    _, currency, payout, amount, moment, again, again_at = row
    return currency, Returned(payout, exact(amount), moment, again, again_at, known or again is not None)


def _by_time(payout: Returned) -> tuple[str, str]:
    return str(payout.returned_at or ""), payout.payout


def exact(number: Any) -> Decimal:
    """A number of a driver as a decimal; nothing is zero."""
    return number if isinstance(number, Decimal) else Decimal(number or 0)
