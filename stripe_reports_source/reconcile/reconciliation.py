"""What a look at a dataset found: statements, and whether all is well. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ..plan.system_tables import Statement
from .roll_forward import RollForward

OPEN = ("variance", "stale", "pending")
"""What is to become 0 and is not yet; `explained` and `not_comparable` are said, and wait for nothing."""
BAD = ("variance", "stale")


@dataclass(frozen=True)
class Reconciliation:
    """The statements of a look at a dataset, in order of days.

    Args:
        statements: rows of `tie_out`, those that tie among them.
        roll_forward: the balance of each account and currency over the last complete month, or since the day that was
            asked for; only `reconcile` computes it.
    """

    statements: Sequence[Statement]
    roll_forward: tuple[RollForward, ...] = ()

    @property
    def variances(self) -> tuple[Statement, ...]:
        """The statements that differ: `variance`, and `stale`, where a report has to be loaded again."""
        return tuple(statement for statement in self.statements if statement.status in BAD)

    @property
    def open(self) -> tuple[Statement, ...]:
        """The statements that are not settled, worst first."""
        found = [statement for statement in self.statements if statement.status in OPEN]
        return tuple(sorted(found, key=lambda statement: OPEN.index(statement.status)))

    @property
    def ok(self) -> bool:
        """True when nothing differs and nothing is stale."""
        return not self.variances

    def followed_by(self, later: Reconciliation | None) -> Reconciliation:
        """What a later look at some of it has found instead."""
        if later is None:
            return self
        replaced = {(statement.equation, statement.interval_key) for statement in later.statements}
        kept = [
            statement for statement in self.statements if (statement.equation, statement.interval_key) not in replaced
        ]
        return Reconciliation(
            tuple(sorted((*kept, *later.statements), key=lambda statement: str(statement.interval_day)))
        )

    def count(self, status: str) -> int:
        """How many statements have a status."""
        return Counter(statement.status for statement in self.statements)[status]

    def lines(self) -> list[str]:
        """What differs, one line for each statement: where, by how much, why and what to do."""
        return [
            f"{statement.equation} [{statement.account}] {statement.interval_day}"
            + "".join(f" {part}" for part in (statement.currency, statement.item) if part)
            + ("" if statement.difference is None else f": {statement.difference.normalize():f}")
            + f" ({statement.status}): {statement.reason}"
            for statement in self.open
            if statement.status in BAD
        ]

    def verdict(self) -> str:
        """One line: what ties, over which days, and what is open."""
        days = [statement.interval_day for statement in self.statements if statement.interval_day is not None]
        counts = Counter(statement.status for statement in self.statements)
        return verdict_of(counts, min(days, default=None), max(days, default=None))


def verdict_of(counts: Mapping[str, int], first: date | None, last: date | None) -> str:
    """The verdict in one line.

    Args:
        counts: how many statements have which status.
        first, last: days of the intervals that they are about.
    """
    if not any(counts.values()):
        return "tie-out: nothing to compare yet."
    tied = counts.get("tied", 0)
    return f"tied: {tied:,} statement{'' if tied == 1 else 's'}{_months(first, last)}; open: {open_of(counts)}"


def open_of(counts: Mapping[str, int]) -> str:
    """What is open, in words."""
    return ", ".join(f"{counts[status]:,} {status}" for status in OPEN if counts.get(status)) or "none"


def _months(first: date | None, last: date | None) -> str:
    if first is None or last is None:
        return ""
    if (first.year, first.month) == (last.year, last.month):
        return f", {first:%B %Y}"
    return f", {first:%B}{'' if first.year == last.year else f' {first.year}'} to {last:%B %Y}"
