"""From two figures to a verdict: one of six words, and a sentence that says why and what to do. Pure.

In: a row of an equation's answer, and what is loaded. Out: a `Statement`. The order of verdicts: a side that is not
loaded; sides loaded to different instants; the same; wholly explained; data of different age; else a variance.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property

from ..plan.system_tables import Statement
from .coverage import Coverage, CoveredCell
from .equations import BEFORE, PLACED, Equation
from .inputs import DAY_LENGTH, Input
from .queries import OTHERS, Figure, shared_zero

LONGEST_RETURN = timedelta(weeks=13)
"""A payout that came back later than this after the beginning of the loaded history is not older than that."""
_OLDER_PAYOUT = (
    "The payout that came back is not among the loaded ones: it was made before the loaded history, or is missing; "
    "load payouts from an earlier day to see it."
)
_EXPLAINED = {
    (
        "unsettled_rows_equal_closing",
        "payouts differ",
    ): "Payouts up to then are not the sum of their rows, as payout_equals_its_rows says of each, and the balance "
    "differs from what is unsettled by just that.",
    (
        "payout_equals_its_rows",
        "no rows",
    ): "No report row and no activity row names this payout: it is manual or instant, "
    "or Stripe has not reconciled it yet.",
    (
        "reversal_equals_payout",
        "older payout",
    ): _OLDER_PAYOUT,
}
_NOT_COMPARABLE = {
    "payouts without rows": "The account has payouts without rows (manual or instant), whose charges stay unsettled "
    "for good.",
    "untimed": "No row of {here} has the time that puts it into its interval: load the interval again with all columns "
    "to compare.",
}
_DIFFER = "{figure} and {against} differ: load both again"
_WORDS = {
    "rows lost": "No row of {here} says what the payout has paid, though the activity names it: load {here} again",
    "no payout": "{here} has rows of a payout that {there} does not have: load {there} again",
    "timeless": "The row has no time in {here}, though others of its interval have: load it again",
    "nameless": "Rows of {here} have no id, though others of their interval have: load it again",
    "unknown payout": "{here} does not have the payout that came back, though it is loaded from long before: load it "
    "again, or payouts from an earlier day",
    "unnamed payout": "Money of a payout came back, and {here} does not say of which one: load it again",
    "another payout": "{here} says that money came back of a payout that is not loaded, the transaction itself that it "
    "is of another, which is: load it again",
    "missing": "{here} has a transaction that {there} does not have: load {there} again",
    "currency": "The two reports give the transaction different currencies: load both again",
    "category": "The two reports give the transaction different categories: load both again",
    "not filled in": "The activity does not name the payout that has settled the transaction: load the activity again",
    "other time": "The activity says another time for the payout that has settled the transaction: load both again",
    "other payout": "The activity names another payout than the one that has settled the transaction: load both again",
}


@dataclass(frozen=True)
class Sides:
    """The cells that a statement compares; a side that is not loaded is None there."""

    figure: Mapping[str, CoveredCell | None]
    against: Mapping[str, CoveredCell | None]

    @property
    def all(self) -> list[tuple[str, CoveredCell | None]]:
        return [*self.figure.items(), *self.against.items()]

    @property
    def missing(self) -> list[str]:
        """The inputs that are not loaded."""
        return [name for name, cell in self.all if cell is None]


class Judge:
    """Judges the figures of one equation.

    Args:
        equation: the equation.
        inputs: what an input's name stands for.
        coverage: what is loaded.
        now: when it is looked.
    """

    def __init__(self, equation: Equation, inputs: Mapping[str, Input], coverage: Coverage, now: datetime) -> None:
        self._equation = equation
        self._inputs = inputs
        self._coverage = coverage
        self._now = now

    def sides(self, cell: str) -> Sides:
        """What is loaded of a cell."""
        return Sides(
            {name: self._loaded(name, cell) for name in self._equation.figure},
            {name: self._loaded(name, cell) for name in self._equation.against},
        )

    def key(self, cell: str, sides: Sides) -> str:
        """The interval key of the statements about a cell."""
        base = self.base(self._equation.figure[0])
        own = self._coverage.get(base, cell)
        if own is not None:
            return own.key
        account = next(side.account for _, side in sides.all if side is not None)
        return interval_key(cell, account, base)

    def not_comparable(self, cell: str, sides: Sides, reason: str) -> Statement:
        """The statement of a cell that has nothing to compare with."""
        return self._statement(cell, sides, None, "not_comparable", reason)

    def judge(self, found: Figure) -> Statement:
        """The statement of two figures."""
        sides = self.sides(found.cell)
        status, reason = self._verdict(found, sides)
        return self._statement(found.cell, sides, found, status, reason)

    def base(self, name: str) -> str:
        """The report that an input's name stands for."""
        return self._inputs[name.removesuffix(BEFORE)].base

    def _loaded(self, name: str, cell: str) -> CoveredCell | None:
        if name.endswith(BEFORE):
            return self._coverage.before(self.base(name), cell)
        return self._coverage.get(self.base(name), cell)

    def _verdict(self, found: Figure, sides: Sides) -> tuple[str, str]:
        status, reason = self._of_one(found, sides)
        if found.item.startswith(OTHERS):
            return status, f"{found.items} more {self._equation.counts} than are kept one by one. {reason}"
        return status, reason

    def _of_one(self, found: Figure, sides: Sides) -> tuple[str, str]:
        ends = {self.base(name): cell.end for name, cell in sides.all if cell and not name.endswith(BEFORE)}
        if len(set(ends.values())) > 1:
            first, last = min(ends, key=lambda base: ends[base]), max(ends, key=lambda base: ends[base])
            return "pending", (
                f"{first} is loaded to {_instant(ends[first])}, {last} to {_instant(ends[last])}: the next sync of "
                "both brings them together."
            )
        if found.ties:
            return "tied", f"{found.items} {self._equation.counts} agree." if found.items != 1 else "Both sides agree."
        explained = _EXPLAINED.get((self._equation.name, found.note))
        if explained:
            return "explained", explained
        if found.note == "unknown payout" and self._may_be_older(found, sides):
            return "explained", _OLDER_PAYOUT
        if found.note in _NOT_COMPARABLE:
            here = self.base(self._equation.figure[0])
            return "not_comparable", _NOT_COMPARABLE[found.note].format(here=here)
        placed = self._placed(found)
        if placed:
            return placed
        if found.note in _FILLED_IN and self._is_to_be_filled_in(found, sides):
            return "stale", f"{self._words(found)}, which fills it in."
        stale = _older(self._beside(found, sides))
        if stale and self._equation.name in _OWN_STALE:
            return "stale", f"{_OWN_WORDS[self._equation.name]}. {stale}"
        if stale and found.note not in _FILLED_IN:
            return "stale", stale
        return "variance", f"{self._words(found)}; what stays after that, ask Stripe about."

    def _placed(self, found: Figure) -> tuple[str, str] | None:
        """Where the missing counterpart of a row lies outside what is loaded: its verdict."""
        if self._equation.counterpart is None:
            return None
        base, at = self.base(self._equation.counterpart), _instant(found.moment)
        if found.note == "older":
            return "explained", f"Its counterpart of {at} is older than the loaded history of {base}."
        if found.note == "later":
            own = self._coverage.loaded_to(self.base(self._equation.figure[0]), found.cell[:-DAY_LENGTH])
            if found.moment is not None and own is not None and found.moment >= own:
                return (
                    "explained",
                    f"Its counterpart in {base} is of {at}, later than what is loaded: it comes with it.",
                )
            return (
                "pending",
                f"{base} is not loaded up to {at} yet, where the counterpart belongs: the next sync loads it.",
            )
        if found.note == "gap":
            return "not_comparable", f"{base} is not loaded at {at}, where the counterpart belongs: load it to compare."
        if found.note == "no time":
            here = self.base(self._equation.figure[0])
            return (
                "not_comparable",
                f"{base} does not have its counterpart, and no column of {here} says of when that is: load {here} with "
                "all columns to compare.",
            )
        if found.note == "not loaded":
            return "not_comparable", f"{base} is not loaded with the same filters: load it with them to compare."
        return None

    def _may_be_older(self, found: Figure, sides: Sides) -> bool:
        """True where a payout may be from before what is loaded without a gap up to its return."""
        own = next(cell for _, cell in sides.all if cell is not None)
        at = found.moment or own.begins
        since = next((since for since, until in self._spans.get(own.lane, ()) if since <= at < until), at)
        return at - since <= LONGEST_RETURN

    @cached_property
    def _spans(self) -> dict[str, list[tuple[datetime, datetime]]]:
        base = self.base(self._equation.figure[0])
        return self._coverage.spans(base, base)

    def _is_to_be_filled_in(self, found: Figure, sides: Sides) -> bool:
        """True for activity from data before the payout took effect that settled it."""
        cell = sides.figure.get("activity")
        age = cell.data_available_end if cell else None
        return age is None or found.moment is None or age <= found.moment

    def _beside(self, found: Figure, sides: Sides) -> list[tuple[str, CoveredCell]]:
        """The cells that are compared, by report: an item's counterpart may be in another one."""
        own = [(self.base(name), cell) for name, cell in sides.figure.items() if cell is not None]
        others = [(self.base(name), cell) for name, cell in sides.against.items()]
        if found.against_cell:
            bases = [self.base(name) for name in self._equation.against or self._equation.figure]
            others = [(base, self._coverage.get(base, found.against_cell)) for base in bases]
        elif found.note in PLACED and found.moment is not None and self._equation.counterpart and own:
            base = self.base(self._equation.counterpart)
            others = [(base, self._coverage.holding(base, own[0][1], found.moment))]
        others += [(self.base(name), self._loaded(name, found.cell)) for name in self._equation.beside]
        return [*own, *((base, cell) for base, cell in others if cell is not None)]

    def _words(self, found: Figure) -> str:
        figure, against = self._names(self._equation.figure), self._names(self._equation.against)
        there = self.base(self._equation.counterpart) if self._equation.counterpart else against
        words = _WORDS.get(found.note) or _OWN_WORDS.get(self._equation.name) or _DIFFER
        here = self.base(self._equation.figure[0])
        return words.format(figure=figure, against=against or "its own lines", here=here, there=there)

    def _names(self, names: Sequence[str]) -> str:
        return " and ".join(dict.fromkeys(self.base(name) for name in names))

    def _statement(self, cell: str, sides: Sides, found: Figure | None, status: str, reason: str) -> Statement:
        loaded = next(side for _, side in sides.all if side is not None)
        own = [cell for cell in sides.figure.values() if cell is not None]
        beside = (
            [cell for _, cell in self._beside(found, sides) if cell not in own] if found else sides.against.values()
        )
        figure, against = (found.figure, found.against) if found else (None, None)
        difference = None if figure is None or against is None else shared_zero(figure - against)
        return Statement(
            equation=self._equation.name,
            account=loaded.account,
            interval_key=self.key(cell, sides),
            currency=found.currency if found else "",
            item=found.item if found else "",
            interval_day=loaded.day,
            interval_start=next((side.start for _, side in sides.all if side and side.start), None),
            interval_end=loaded.end,
            figure=figure,
            against=against,
            difference=difference,
            gross_difference=found.gross_difference if found else None,
            fee_difference=found.fee_difference if found else None,
            count_difference=int(found.count_difference) if found else None,
            status=status,
            reason=sys.intern(reason),  # many are the same
            figure_run=_runs(sides.figure.values()),
            against_run=_runs(beside),
            checked_at=self._now,
        )


_FILLED_IN = ("not filled in", "other payout", "other time")
_OWN_STALE = ("opening_equals_closing_before",)
_OWN_WORDS = {
    "opening_equals_closing_before": "The opening balance is not the closing balance of the interval before: the "
    "past has moved at Stripe; load the earlier intervals again (reconcile --refresh)",
    "transaction_once": "The transaction stands more than once in {figure}: load it again",
    "row_adds_up": "Gross less fee is not the net of the row in {figure}: load it again",
    "row_lies_in_its_cell": "The row's time lies outside of its interval in {figure}: load it again",
    "summary_lines_equal_total": "The lines of {figure} do not add up to its total: load it again",
    "balance_foots": "The lines of {figure} do not add up: load it again",
    "clearing_rolls_forward": "What was unsettled before, with what came in and without what was settled, is not "
    "what is unsettled now: load {figure} again",
}


def interval_key(cell: str, account: str, base: str) -> str:
    """The interval key of a report's cell."""
    return f"{account}|{base}{cell.removeprefix(account)}"


def _older(compared: Sequence[tuple[str, CoveredCell]]) -> str | None:
    ages = {(base, cell.key): cell for base, cell in compared}
    known = {key: cell.data_available_end for key, cell in ages.items()}
    if len(set(known.values())) < 2:
        return None
    unknown = [key for key, age in known.items() if age is None]
    if unknown:
        base, _ = unknown[0]
        return f"How old the data of {base} is was not kept when it was loaded: load the interval again."
    by_age = sorted((age, base, key) for (base, key), age in known.items() if age is not None)
    (_, old, key), (newest, new, _) = by_age[0], by_age[-1]
    since = ages[old, key].data_available_end
    day = ages[old, key].day
    other = "" if new == old else f" of {new}"
    return (
        f"{old} of the interval from {day} on is from data up to {_instant(since)}, older than the data{other} beside "
        f"it ({_instant(newest)}): load it again (reconcile --refresh)."
    )


def _runs(cells: Iterable[CoveredCell | None]) -> str | None:
    runs = dict.fromkeys(cell.run_id for cell in cells if cell is not None and cell.run_id)
    return ", ".join(runs) or None


def _instant(instant: datetime | None) -> str:
    return "an unknown instant" if instant is None else f"{instant.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
