"""The equations between Stripe's reports: what each says, of which reports, and the SQL file that computes it. Pure.

Their names, signs and legitimate differences: docs.stripe.com/reports/select-a-report ("Reconciling between the
reports") and the reports' own pages. An equation holds within an account, a cell and a currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from .inputs import INPUTS

BEFORE = ":before"
"""Marks the cell before, of an input."""
PLACED = ("missing", "no payout")
"""Notes of a row whose counterpart is not there, which may be because of what is loaded."""


@dataclass(frozen=True)
class Equation:
    """An equation.

    Args:
        name: as in `tie_out`.
        file: the SQL file, without its ending.
        figure, against: the inputs that either side is computed from; the statement has the interval key of the first
            input of `figure`. With `:before`, the cell before is meant; all others are of the cell itself.
        names: the inputs and, for a file that serves several reports, what they are called there.
        needs: the numbers and texts that its file reads of an input: a column that is not there would read as 0 or as
            "", which is a false figure. A time that is not there is no time, and named where it is needed.
        per_row: it looks at single rows, of the cells that are asked for; else at the sums of all cells in a window.
        counterpart: the input in which a row's counterpart is looked for, at the row's moment; notes of the query in
            `PLACED` become those of `judge` where that moment is not loaded.
        beside: what it reads beside these where it is loaded, and whose age counts.
        counts: what its items are called, in the plural.
    """

    name: str
    file: str
    figure: tuple[str, ...]
    against: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    per_row: bool = False
    counterpart: str | None = None
    beside: tuple[str, ...] = ()
    counts: str = "figures"

    @property
    def sql(self) -> str:
        """The query, over inputs."""
        return read_sql(self.file)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that must be loaded, without their cells."""
        return tuple(dict.fromkeys(name.removesuffix(BEFORE) for name in (*self.figure, *self.against)))


@cache
def read_sql(file: str) -> str:
    """A file of the folder `sql`, by its name without the ending."""
    return (resources.files(__package__) / "sql" / f"{file}.sql").read_text("utf-8")


_AMOUNTS = ("gross", "fee", "net", "currency")
_LINE = ("net", "currency", "category")
_PAYOUT = (*_LINE, "payout_id")
_NAMED = ("transaction_id", "payout_id")
_PAIRS = ("activity", "payouts", "settled", "unsettled")


def _pair(rows: str) -> Equation:
    return Equation(
        "itemized_equals_summary",
        "itemized_equals_summary",
        (rows,),
        (f"{rows}_summary",),
        names={"itemized": rows, "summary": f"{rows}_summary"},
        needs={
            rows: (*_AMOUNTS, "category"),
            f"{rows}_summary": (*_AMOUNTS, "category", "line_count"),
        },
        counts="categories",
    )


def _of_rows(name: str, rows: str, *fields: str) -> Equation:
    fields = (*fields, "currency", INPUTS[rows].row_id)
    return Equation(
        name,
        name,
        (rows,),
        names={"book": rows},
        needs={rows: fields},
        per_row=True,
        counts="rows",
    )


def _settled(rows: str) -> Equation:
    fields = (*_AMOUNTS, "category", "transaction_id")
    return Equation(
        "settled_row_equals_activity_row",
        "settled_row_equals_activity_row",
        (rows,),
        ("activity", "payouts"),
        names={"book": rows},
        needs={rows: fields, "activity": fields, "payouts": fields},
        per_row=True,
        counterpart="activity",
        counts="transactions",
    )


EQUATIONS: tuple[Equation, ...] = (
    *(_pair(rows) for rows in _PAIRS),
    *(
        Equation(
            "summary_lines_equal_total",
            "summary_lines_equal_total",
            (f"{rows}_summary",),
            names={"summary": f"{rows}_summary"},
            needs={f"{rows}_summary": (*_AMOUNTS, "category", "line_count")},
            counts="totals",
        )
        for rows in _PAIRS
    ),
    Equation("balance_foots", "balance_foots", ("balance",), needs={"balance": _LINE}, counts="sums"),
    Equation(
        "activity_rows_equal_balance",
        "activity_rows_equal_balance",
        ("activity",),
        ("balance",),
        needs={"activity": _AMOUNTS, "balance": _LINE},
    ),
    Equation(
        "payout_rows_equal_balance",
        "payout_rows_equal_balance",
        ("payouts",),
        ("balance",),
        needs={"payouts": _AMOUNTS, "balance": _LINE},
    ),
    Equation(
        "unsettled_rows_equal_closing",
        "unsettled_rows_equal_closing",
        ("unsettled",),
        ("balance",),
        needs={
            "unsettled": ("net", "currency"),
            "balance": _LINE,
            "payouts": (*_PAYOUT, "moment"),
            "settled": ("net", "currency", "payout_id"),
        },
    ),
    Equation(
        "opening_equals_closing_before",
        "opening_equals_closing_before",
        ("balance",),
        (f"balance{BEFORE}",),
        needs={"balance": _LINE},
    ),
    Equation(
        "clearing_rolls_forward",
        "clearing_rolls_forward",
        ("unsettled", "activity", "payouts", "settled"),
        ("balance",),
        needs={
            "unsettled": ("net", "currency"),
            "activity": ("net", "currency", "payout_id"),
            "payouts": _PAYOUT,
            "settled": ("net", "currency", "payout_id"),
            "balance": _LINE,
        },
        beside=(f"unsettled{BEFORE}",),
    ),
    Equation(
        "payout_equals_its_rows",
        "payout_equals_its_rows",
        ("settled", "activity"),
        ("payouts",),
        needs={
            "settled": ("net", "currency", "payout_id"),
            "payouts": _PAYOUT,
            "activity": ("payout_id",),
        },
        per_row=True,
        counterpart="payouts",
        counts="payouts",
    ),
    Equation(
        "payout_equals_its_rows",
        "payout_by_id_equals_its_rows",
        ("settled_by_id",),
        ("payouts",),
        needs={
            "settled_by_id": ("net", "currency", "payout_id"),
            "payouts": _PAYOUT,
        },
        per_row=True,
        counts="payouts",
    ),
    Equation(
        "reversal_equals_payout",
        "reversal_equals_payout",
        ("payouts",),
        needs={"payouts": _PAYOUT},
        per_row=True,
        counts="payouts",
    ),
    _of_rows("transaction_once", "activity"),
    _of_rows("transaction_once", "payouts"),
    _of_rows("transaction_once", "settled", "payout_id"),
    _of_rows("transaction_once", "unsettled"),
    *(_of_rows("row_adds_up", rows, "gross", "fee", "net") for rows in _PAIRS),
    *(_of_rows("row_adds_up", f"{rows}_summary", "gross", "fee", "net") for rows in _PAIRS),
    *(_of_rows("row_lies_in_its_cell", rows, "moment") for rows in _PAIRS),
    _settled("settled"),
    _settled("unsettled"),
    Equation(
        "activity_names_its_payout",
        "activity_names_its_payout",
        ("activity",),
        ("settled",),
        needs={"activity": (*_NAMED, "currency"), "settled": _NAMED},
        per_row=True,
        counts="transactions",
    ),
    Equation(
        "payout_holds_what_names_it",
        "payout_holds_what_names_it",
        ("activity",),
        ("settled",),
        needs={
            "activity": (*_NAMED, "net", "currency"),
            "settled": _NAMED,
            "payouts": ("payout_id", "category"),
        },
        per_row=True,
        counterpart="settled",
        counts="transactions",
    ),
)
"""All equations in SQL; `rows_stored_equal_file` and `cells_join` are in `ledger_checks`."""
