"""Faults that are planted in loaded tables, and the equations that catch each. Data only.

Tables are called by one or two letters in the statements: A activity, P payouts, S payout reconciliation, U ending
balance, each with S for its summary (AS, PS, SS, US), B the balance summary, C the ledger's cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

TABLES = {
    "A": "balance_change_from_activity_itemized",
    "AS": "balance_change_from_activity_summary",
    "P": "payouts_itemized",
    "PS": "payouts_summary",
    "S": "payout_reconciliation_itemized",
    "SS": "payout_reconciliation_summary",
    "U": "ending_balance_reconciliation_itemized",
    "US": "ending_balance_reconciliation_summary",
    "B": "balance_summary",
    "C": "report_cells",
}
STORED = "rows_stored_equal_file"
NO_CHECK = frozenset[str]()


@dataclass(frozen=True)
class Plant:
    """A fault.

    Args:
        group, title: as `docs/proof.md` has them.
        statements: SQL; the last one must change a row.
        by_file: it is caught by the comparison with the control totals of the files.
        caught: the equations between reports that catch it too, which do not need control totals.
        not_comparable: equations that say that they cannot compare any more, where nothing catches it.
    """

    group: str
    title: str
    statements: Sequence[str]
    by_file: bool
    caught: frozenset[str] = NO_CHECK
    not_comparable: frozenset[str] = NO_CHECK

    @property
    def sql(self) -> list[str]:
        """The statements with the tables' names."""
        return [re.sub(r"\b(AS|PS|SS|US|A|P|S|U|B|C)\b(?=[ ;.]|$)", _table, text) for text in self.statements]


def _table(found: re.Match[str]) -> str:
    before = found.string[: found.start()].rstrip()
    named = before.endswith(("FROM", "UPDATE", "INTO", "JOIN"))
    return TABLES[found[1]] if named else found[0]


_PAID_FOR_GOOD = "automatic_payout_id NOT IN (SELECT payout_id FROM P WHERE reporting_category = 'payout_reversal')"
FEBRUARY = "_interval_day = '2025-02-01'"
_TO_MARCH = (
    "_interval_day = '2025-03-01', _interval_start = '2025-03-01', _interval_end = '2025-04-01', "
    "_interval_key = replace(_interval_key, '2025-02-01', '2025-03-01')"
)


def charge(table: str, number: int = 0, more: str = "") -> str:
    """A condition that one charge of February in dollars meets; in snapshots any row."""
    category = "" if table == "U" else " AND reporting_category = 'charge'"
    return (
        f"balance_transaction_id = (SELECT balance_transaction_id FROM {table} WHERE {FEBRUARY} AND currency = 'usd'"
        f"{category}{more} ORDER BY balance_transaction_id LIMIT 1 OFFSET {number}) AND {FEBRUARY}"
    )


def payout(table: str, number: int = 0) -> str:
    """A condition that one payout of February in dollars, which stayed paid, meets in any table."""
    column = "payout_id" if table == "P" else "automatic_payout_id"
    return (
        f"{column} = (SELECT payout_id FROM P WHERE {FEBRUARY} AND currency = 'usd' AND payout_id NOT IN "
        f"(SELECT payout_id FROM P WHERE reporting_category = 'payout_reversal') "
        f"ORDER BY payout_id LIMIT 1 OFFSET {number})"
    )


def again(table: str, where: str) -> str:
    """Rows stored a second time."""
    return f"INSERT INTO {table} SELECT * FROM {table} WHERE {where}"


def swapped(table: str, columns: Sequence[str]) -> str:
    """Values of two charges changed for one another."""
    first, second = charge(table), charge(table, 1)
    other = f"(SELECT {{column}} FROM {table} WHERE {{of}} LIMIT 1)"
    sets = ", ".join(
        f"{column} = CASE WHEN {first} THEN {other.format(column=column, of=second)} "
        f"ELSE {other.format(column=column, of=first)} END"
        for column in columns
    )
    return f"UPDATE {table} SET {sets} WHERE ({first}) OR ({second})"


def cents(table: str, *changes: str) -> str:
    """Amounts of one charge changed: `gross+`, `fee-`, by a cent."""
    sets = ", ".join(f"{change[:-1]} = {change[:-1]} {change[-1]} 0.01" for change in changes)
    return f"UPDATE {table} SET {sets} WHERE {charge(table)}"


def line(table: str, category: str, currency: str = "usd") -> str:
    """A condition that one line of February's summary meets."""
    column = "category" if table == "B" else "reporting_category"
    return f"{FEBRUARY} AND {column} = '{category}' AND currency = '{currency}'"


def _caught(text: str) -> frozenset[str]:
    return frozenset(_SHORT[word] for word in text.split())


_SHORT = {
    "cells": "cells_join",
    "summary": "itemized_equals_summary",
    "total": "summary_lines_equal_total",
    "foots": "balance_foots",
    "activity": "activity_rows_equal_balance",
    "payouts": "payout_rows_equal_balance",
    "closing": "unsettled_rows_equal_closing",
    "opening": "opening_equals_closing_before",
    "clearing": "clearing_rolls_forward",
    "payout": "payout_equals_its_rows",
    "reversal": "reversal_equals_payout",
    "once": "transaction_once",
    "adds": "row_adds_up",
    "lies": "row_lies_in_its_cell",
    "row": "settled_row_equals_activity_row",
    "names": "activity_names_its_payout",
    "holds": "payout_holds_what_names_it",
}


def _plant(group: str, title: str, statements: str | Sequence[str], caught: str, *, by_file: bool = True) -> Plant:
    listed = [statements] if isinstance(statements, str) else statements
    return Plant(group, title, listed, by_file, _caught(caught))


def _rows() -> list[Plant]:
    plants = []
    for table, name, caught in (
        ("A", "activity", "summary activity clearing row"),
        ("S", "payout reconciliation", "summary clearing payout holds"),
        ("U", "ending balance", "summary closing clearing"),
    ):
        where = charge(table)
        plants.append(_plant("Rows", f"a row of {name} dropped", f"DELETE FROM {table} WHERE {where}", caught))
        twice = caught.replace(" row", "").replace(" holds", "") + " once"
        plants.append(_plant("Rows", f"a row of {name} doubled", again(table, where), twice))
    return [
        *plants,
        _plant(
            "Rows",
            "a row of activity moved to the next month",
            f"UPDATE A SET {_TO_MARCH} WHERE {charge('A')}",
            "summary activity clearing lies",
        ),
        _plant(
            "Rows",
            "a row of payout reconciliation moved to the next month",
            f"UPDATE S SET {_TO_MARCH} WHERE {charge('S')}",
            "summary clearing lies",
        ),
        _plant(
            "Rows",
            "a row's time moved over midnight, out of its month",
            f"UPDATE A SET created_utc = '2025-03-01 00:00:00+00' WHERE {charge('A')}",
            "lies",
            by_file=False,
        ),
        _plant(
            "Rows",
            "a row's time blanked",
            f"UPDATE A SET created_utc = NULL WHERE {charge('A')}",
            "lies",
            by_file=False,
        ),
        _plant(
            "Rows",
            "the id of a row of ending balance blanked",
            f"UPDATE U SET balance_transaction_id = NULL WHERE {charge('U')}",
            "once",
            by_file=False,
        ),
    ]


def _amounts() -> list[Plant]:
    plants = []
    sums = {
        "A": ("activity", "summary activity", "clearing row"),
        "S": ("payout reconciliation", "summary", "clearing payout row"),
        "U": ("ending balance", "summary", "closing clearing row"),
    }
    for table, (name, gross_and_fee, net) in sums.items():
        for changes, caught in (
            (("gross+", "fee+"), f"{gross_and_fee} row"),
            (("gross+", "net+"), f"{gross_and_fee} {net}"),
            (("fee+", "net-"), f"{gross_and_fee} {net}"),
            (("gross+",), f"{gross_and_fee} row adds"),
            (("net+",), f"{gross_and_fee} {net} adds"),
        ):
            what = " and ".join(change[:-1] for change in changes)
            plants.append(_plant("Amounts", f"a cent in {what} of a row of {name}", cents(table, *changes), caught))
        plants.append(
            _plant(
                "Amounts",
                f"0.01 more in one row of {name} and 0.01 less in another",
                [
                    cents(table, "gross+", "net+"),
                    f"UPDATE {table} SET gross = gross - 0.01, net = net - 0.01 WHERE {charge(table, 1)}",
                ],
                "row",
                by_file=False,
            )
        )
    for table, name in (("A", "activity"), ("S", "payout reconciliation")):
        amounts = ("gross", "fee", "net")
        plants.append(
            _plant(
                "Amounts", f"the amounts of two rows of {name} swapped", swapped(table, amounts), "row", by_file=False
            )
        )
        ids = swapped(table, ("balance_transaction_id",))
        plants.append(_plant("Amounts", f"the ids of two rows of {name} swapped", ids, "row", by_file=False))
    return plants


def _labels() -> list[Plant]:
    return [
        _plant(
            "Categories and currencies",
            f"{'a category' if column == 'reporting_category' else 'a currency'} in {name} changed",
            f"UPDATE {table} SET {column} = '{value}' WHERE {charge(table)}",
            caught,
        )
        for table, name, column, value, caught in (
            ("A", "activity", "reporting_category", "refund", "summary row"),
            ("S", "payout reconciliation", "reporting_category", "refund", "summary row"),
            ("A", "activity", "currency", "eur", "summary activity clearing row"),
            ("S", "payout reconciliation", "currency", "eur", "summary clearing payout row"),
        )
    ]


def _cells() -> list[Plant]:
    lost = "DELETE FROM C WHERE table_name = '{table}' AND interval_day = '{day}'"
    activity, balance = TABLES["A"], TABLES["B"]
    return [
        _plant("Intervals", "a month of activity stored twice", again("A", FEBRUARY), "summary activity clearing once"),
        _plant(
            "Intervals",
            "the rows of a month of activity lost",
            f"DELETE FROM A WHERE {FEBRUARY}",
            "summary activity clearing row",
        ),
        _plant(
            "Intervals",
            "a month of activity lost, with its row in the ledger",
            [f"DELETE FROM A WHERE {FEBRUARY}", lost.format(table=activity, day="2025-02-01")],
            "cells",
            by_file=False,
        ),
        _plant(
            "Intervals",
            "a month lost from the ledger, its rows still there",
            lost.format(table=activity, day="2025-02-01"),
            "cells",
        ),
        _plant(
            "Intervals",
            "the last month lost from the ledger, its rows still there",
            lost.format(table=activity, day="2025-04-01"),
            "cells",
        ),
        _plant(
            "Intervals",
            "a month of the balance summary lost, with its row in the ledger",
            [f"DELETE FROM B WHERE {FEBRUARY}", lost.format(table=balance, day="2025-02-01")],
            "cells",
            by_file=False,
        ),
    ]


def _payouts() -> list[Plant]:
    paid, batch = payout("P"), payout("S")
    back = "reporting_category = 'payout_reversal' AND currency = 'usd' AND " + FEBRUARY
    return [
        _plant("Payouts", "a payout lost", f"DELETE FROM P WHERE {paid}", "summary payouts payout"),
        _plant("Payouts", "a payout doubled", again("P", paid), "summary payouts payout once"),
        _plant("Payouts", "all rows of a payout lost", f"DELETE FROM S WHERE {batch}", "summary clearing payout holds"),
        _plant(
            "Payouts",
            "a payout lost together with its rows",
            [
                f"CREATE TEMP TABLE lost AS SELECT payout_id FROM P WHERE {paid}",
                "DELETE FROM S WHERE automatic_payout_id IN (SELECT payout_id FROM lost)",
                "DELETE FROM P WHERE payout_id IN (SELECT payout_id FROM lost)",
            ],
            "summary payouts clearing holds",
        ),
        _plant(
            "Payouts",
            "a cent in gross and net of a payout",
            f"UPDATE P SET gross = gross + 0.01, net = net + 0.01 WHERE {paid}",
            "summary payouts payout",
        ),
        _plant(
            "Payouts",
            "a cent in gross alone of a payout",
            f"UPDATE P SET gross = gross + 0.01 WHERE {paid}",
            "summary payouts adds",
        ),
        _plant(
            "Payouts",
            "a payout moved to the next month",
            f"UPDATE P SET {_TO_MARCH} WHERE {paid}",
            "summary payouts lies",
        ),
        _plant("Payouts", "a reversal lost", f"DELETE FROM P WHERE {back}", "summary payouts clearing row"),
        _plant(
            "Payouts",
            "a cent in gross and net of a reversal",
            f"UPDATE P SET gross = gross + 0.01, net = net + 0.01 WHERE {back}",
            "summary payouts clearing reversal row",
        ),
        _plant(
            "Payouts",
            "the payout's id blanked in a reversal",
            f"UPDATE P SET payout_id = NULL WHERE {back}",
            "reversal",
            by_file=False,
        ),
        _plant(
            "Payouts",
            "the id of a payout that is not there in a reversal",
            f"UPDATE P SET payout_id = 'po_nobody' WHERE {back}",
            "reversal",
            by_file=False,
        ),
        _plant(
            "Payouts",
            "the payout's id blanked in a row of payout reconciliation",
            f"UPDATE S SET automatic_payout_id = NULL WHERE {charge('S')}",
            "payout holds",
            by_file=False,
        ),
        _plant(
            "Payouts",
            "the payout's id blanked in a row of activity",
            f"UPDATE A SET automatic_payout_id = NULL WHERE {charge('A')}",
            "names",
            by_file=False,
        ),
        _plant(
            "Payouts",
            "another payout's id in a row of activity",
            f"UPDATE A SET automatic_payout_id = 'po_other' WHERE {charge('A')}",
            "names holds",
            by_file=False,
        ),
        _plant(
            "Payouts",
            "the id of a payout blanked",
            f"UPDATE P SET payout_id = NULL WHERE {paid}",
            "payout",
            by_file=False,
        ),
    ]


def _summaries() -> list[Plant]:
    plants = []
    for table, name, category in (
        ("AS", "activity summary", "charge"),
        ("PS", "payouts summary", "payout"),
        ("SS", "payout reconciliation summary", "charge"),
        ("US", "ending balance summary", "charge"),
    ):
        where = line(table, category)
        plants += [
            _plant("Summaries", f"a line of the {name} lost", f"DELETE FROM {table} WHERE {where}", "summary total"),
            _plant(
                "Summaries",
                f"a cent in gross and net of a line of the {name}",
                f"UPDATE {table} SET gross = gross + 0.01, net = net + 0.01 WHERE {where}",
                "summary total",
            ),
            _plant(
                "Summaries",
                f"the count of a line of the {name} changed",
                f'UPDATE {table} SET "count" = "count" + 1 WHERE {where}',
                "summary total",
                by_file=False,
            ),
        ]
    for category, caught in (
        ("starting_balance", "foots opening"),
        ("activity", "foots activity"),
        ("activity_gross", "foots activity"),
        ("payouts", "foots payouts"),
        ("ending_balance", "foots opening closing"),
    ):
        plants.append(
            _plant(
                "Summaries",
                f"a cent in the line {category} of the balance summary",
                f"UPDATE B SET net_amount = net_amount + 0.01 WHERE {line('B', category)}",
                caught,
            )
        )
    return plants


def _consistent() -> list[Plant]:
    """What one report says wrongly is said alike by others: as if Stripe had written it so."""
    settled_once = f" AND automatic_payout_id IN (SELECT payout_id FROM P WHERE {FEBRUARY}) AND {_PAID_FOR_GOOD}"
    note = f"CREATE TEMP TABLE gone AS SELECT * FROM A WHERE {charge('A', 0, settled_once)}"
    less = "gross = gross - (SELECT gross FROM gone), net = net - (SELECT net FROM gone)"
    summary = f'UPDATE {{table}} SET {less}, fee = fee + (SELECT fee FROM gone), "count" = "count" - 1 WHERE {{where}}'
    of_lines = f"{FEBRUARY} AND currency = 'usd' AND reporting_category IN ('charge', 'total')"
    drop = "DELETE FROM {table} WHERE balance_transaction_id = (SELECT balance_transaction_id FROM gone)"
    activity = [drop.format(table="A"), summary.format(table="AS", where=of_lines)]
    settled = [drop.format(table="S"), summary.format(table="SS", where=of_lines)]
    balance = [
        f"UPDATE B SET net_amount = net_amount - (SELECT {amount} FROM gone) WHERE {line('B', category)}"
        for category, amount in (
            ("activity", "net"),
            ("activity_gross", "gross"),
            ("activity_fee", "-fee"),
            ("payouts", "-net"),
            ("payouts_gross", "-net"),
        )
    ]
    paid = [
        f"UPDATE P SET {less.replace('(SELECT gross', '(SELECT net')} "
        "WHERE payout_id = (SELECT automatic_payout_id FROM gone) AND reporting_category = 'payout'",
        "UPDATE PS SET gross = gross + (SELECT net FROM gone), net = net + (SELECT net FROM gone) WHERE "
        + of_lines.replace("'charge'", "'payout'"),
    ]
    return [
        _plant(
            "Consistent lies",
            "a row dropped from activity and from its summary",
            [note, *activity],
            "activity clearing row",
        ),
        _plant(
            "Consistent lies",
            "a row dropped from activity, payout reconciliation and both summaries",
            [note, *activity, *settled],
            "activity payout",
        ),
        _plant(
            "Consistent lies",
            "a cent in gross and net of the same charge in activity and payout reconciliation",
            [
                note,
                *(
                    f"UPDATE {table} SET gross = gross + 0.01, net = net + 0.01 WHERE balance_transaction_id = "
                    "(SELECT balance_transaction_id FROM gone)"
                    for table in ("A", "S")
                ),
            ],
            "summary activity payout",
        ),
        _plant(
            "Consistent lies",
            "a row dropped from activity and payout reconciliation, their summaries and the balance",
            [note, *activity, *settled, *balance[:3]],
            "foots payout",
        ),
        _plant(
            "Consistent lies",
            "a charge left out of all nine reports, of its payout's amount too",
            [note, *activity, *settled, *balance, *paid],
            "",
        ),
    ]


def _texts() -> list[Plant]:
    return [
        _plant("Texts", f"{what} changed", f"UPDATE A SET {column} = {value} WHERE {charge('A')}", "", by_file=by_file)
        for what, column, value, by_file in (
            ("a description", "description", "'another'", False),
            ("a customer's e-mail", "customer_email", "'another@example.com'", False),
            ("a card's brand", "card_brand", "'another'", False),
            ("the amount that a customer sees", "customer_facing_amount", "customer_facing_amount + 1", True),
            ("a row's time, inside its month", "created_utc", "created_utc + INTERVAL 1 SECOND", False),
            ("a row's time in the report's zone", "created", "created + INTERVAL 1 HOUR", False),
            ("the day on which funds become available", "available_on_utc", "available_on_utc + INTERVAL 1 DAY", False),
            ("a trace id", "trace_id", "'another'", False),
        )
    ]


PLANTS = [
    *_rows(),
    *_amounts(),
    *_labels(),
    *_cells(),
    *_payouts(),
    *_summaries(),
    *_consistent(),
    *_texts(),
]
