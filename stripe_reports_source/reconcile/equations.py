"""The equations between Stripe's reports: what each says, of which reports, and the SQL file that computes it. Pure.

Their names, signs and legitimate differences: docs.stripe.com/reports/select-a-report ("Reconciling between the
reports") and the reports' own pages. An equation holds within an account, a cell and a currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

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
        needs: fields that an input must have.
        per_row: it looks at single rows, of the cells that are asked for; else at the sums of all cells in a window.
        counterpart: the input in which a row's counterpart is looked for, at the row's moment; notes of the query in
            `PLACED` become those of `judge` where that moment is not loaded.
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
_PAIRS = ("activity", "payouts", "settled", "unsettled")


def _pair(rows: str) -> Equation:
    return Equation(
        "itemized_equals_summary",
        "itemized_equals_summary",
        (rows,),
        (f"{rows}_summary",),
        names={"itemized": rows, "summary": f"{rows}_summary"},
        needs={rows: (*_AMOUNTS, "category")},
        counts="categories",
    )


def _of_rows(name: str, rows: str, *fields: str) -> Equation:
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
        needs={rows: fields, "activity": fields, "payouts": ("transaction_id",)},
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
            counts="totals",
        )
        for rows in _PAIRS
    ),
    Equation("balance_foots", "balance_foots", ("balance",), counts="sums"),
    Equation(
        "activity_rows_equal_balance",
        "activity_rows_equal_balance",
        ("activity",),
        ("balance",),
        needs={"activity": _AMOUNTS},
    ),
    Equation(
        "payout_rows_equal_balance",
        "payout_rows_equal_balance",
        ("payouts",),
        ("balance",),
        needs={"payouts": _AMOUNTS},
    ),
    Equation(
        "unsettled_rows_equal_closing",
        "unsettled_rows_equal_closing",
        ("unsettled",),
        ("balance",),
        needs={"unsettled": ("net", "currency")},
    ),
    Equation("opening_equals_closing_before", "opening_equals_closing_before", ("balance",), (f"balance{BEFORE}",)),
    Equation(
        "clearing_rolls_forward",
        "clearing_rolls_forward",
        ("unsettled", "activity", "payouts", "settled"),
        ("balance",),
        needs={
            "unsettled": ("net", "currency"),
            "activity": ("net", "currency", "payout_id"),
            "payouts": ("net", "currency", "category", "payout_id"),
            "settled": ("net", "currency", "payout_id"),
        },
    ),
    Equation(
        "payout_equals_its_rows",
        "payout_equals_its_rows",
        ("settled", "activity"),
        ("payouts",),
        needs={
            "settled": ("net", "currency", "payout_id"),
            "payouts": ("net", "currency", "category", "payout_id"),
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
            "payouts": ("net", "currency", "category", "payout_id"),
        },
        per_row=True,
        counts="payouts",
    ),
    Equation(
        "reversal_equals_payout",
        "reversal_equals_payout",
        ("payouts",),
        needs={"payouts": ("net", "currency", "category", "payout_id")},
        per_row=True,
        counts="payouts",
    ),
    _of_rows("transaction_once", "activity", "transaction_id"),
    _of_rows("transaction_once", "payouts", "transaction_id"),
    _of_rows("transaction_once", "settled", "transaction_id", "payout_id"),
    _of_rows("transaction_once", "unsettled", "transaction_id"),
    *(_of_rows("row_adds_up", rows, *_AMOUNTS) for rows in _PAIRS),
    *(_of_rows("row_adds_up", f"{rows}_summary", *_AMOUNTS) for rows in _PAIRS),
    *(_of_rows("row_lies_in_its_cell", rows, "moment", "transaction_id") for rows in _PAIRS),
    _settled("settled"),
    _settled("unsettled"),
    Equation(
        "activity_names_its_payout",
        "activity_names_its_payout",
        ("activity",),
        ("settled",),
        needs={"activity": ("transaction_id", "payout_id"), "settled": ("transaction_id", "payout_id")},
        per_row=True,
        counts="transactions",
    ),
    Equation(
        "payout_holds_what_names_it",
        "payout_holds_what_names_it",
        ("activity",),
        ("settled",),
        needs={"activity": ("transaction_id", "payout_id"), "settled": ("transaction_id", "payout_id")},
        per_row=True,
        counterpart="settled",
        counts="transactions",
    ),
)
"""All equations in SQL; `rows_stored_equal_file` and `cells_join` are in `ledger_checks`."""
