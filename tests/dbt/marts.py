"""What is made of the marts: models, their properties and docs blocks, the seed of ledger accounts.

In: `stripe_reports_source.marts`. Out: files by their path in the dbt package. The SQL of a mart is what stands in
`marts/sql`; inputs and other marts become references, and what dialects differ in dbt's or our macros.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import stripe_reports_source.marts
from stripe_reports_source.marts.catalog import MARTS, Mart

from . import inputs
from .names import MADE, NAME, SEED, WARNING
from .yaml_text import yaml_text

REPORTS = inputs.ALWAYS
"""Those that marts read, whose staging models are always there."""
VIEWS = ("stripe_payout_transactions", "stripe_fees")
"""Marts with a row for each transaction: their rows are kept by the models that they read."""
_NAMED = re.compile(r"\{(\w+)\}")
_TEXT = re.compile(r"\bAS TEXT\)")
_UNION = re.compile(r"\bUNION(?! ALL)\b")
_MONTH = "DATE_TRUNC('month', "


def files() -> dict[str, str]:
    """The text of each file, by its path in the package."""
    chart = (resources.files(stripe_reports_source.marts) / "ledger_accounts.csv").read_text("utf-8")
    return {
        **{f"models/intermediate/{name}.sql": f"-- {MADE}\n{sql}" for name, sql in inputs.models().items()},
        "models/intermediate/intermediate.yml": _yaml({"models": _intermediate()}),
        **{f"models/marts/{mart.name}.sql": _model(mart) for mart in MARTS.values()},
        "models/marts/marts.yml": _yaml({"models": [_properties(mart) for mart in MARTS.values()]}),
        "models/marts/marts.md": f"<!-- {MADE} -->\n" + "\n".join(_docs_block(mart) for mart in MARTS.values()),
        f"seeds/{SEED}.csv": chart,
    }


def _model(mart: Mart) -> str:
    config = "{{ config(materialized='view') }}\n" if mart.name in VIEWS else ""
    return f"-- {MADE}\n{config}{in_dbt(mart.sql)}"


def in_dbt(sql: str) -> str:
    """SQL of marts as dbt takes it."""
    sql = _NAMED.sub(lambda found: f"{{{{ ref('{_model_of(found[1])}') }}}}", sql)
    sql = _TEXT.sub(f"AS {{{{ {NAME}.type_of('text') }}}})", sql)
    sql = _UNION.sub("UNION{{ ' DISTINCT' if target.type == 'bigquery' }}", sql)
    while _MONTH in sql:
        start = sql.index(_MONTH)
        end = _closing(sql, start + len("DATE_TRUNC"))
        day = sql[start + len(_MONTH) : end]
        sql = f"{sql[:start]}{{{{ dbt.date_trunc('month', \"{day}\") }}}}{sql[end + 1 :]}"
    return sql


def _closing(sql: str, at: int) -> int:
    """Where the bracket ends that begins there."""
    depth = 0
    for place in range(at, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"a bracket is not closed: {sql[at:]}")


def _model_of(name: str) -> str:
    return name if name in MARTS else inputs.input_model(name)


def _docs_block(mart: Mart) -> str:
    key = ", ".join(f"`{name}`" for name in mart.key)
    return (
        f"{{% docs {mart.name} %}}\n{mart.description}\n\nOne row is {mart.row}; {key} tell rows apart. "
        f"Choose rows by `{mart.day}`.\n{{% enddocs %}}\n"
    )


def _properties(mart: Mart) -> dict[str, Any]:
    return {
        "name": mart.name,
        "description": f"{{{{ doc('{mart.name}') }}}}",
        "data_tests": [
            {"unique_together": {"name": f"{mart.name}_is_unique", "arguments": {"columns": list(mart.key)}}},
            *TESTS.get(mart.name, ()),
        ],
        "columns": [{"name": column.name, "description": column.description} for column in mart.columns],
    }


def _difference(name: str) -> dict[str, Any]:
    arguments = {"column": "difference", "rows_of": f"ref('{name}')"}
    return {"is_zero": {"name": f"{name}_has_no_difference", "arguments": arguments}}


TESTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "stripe_balance_rollforward": (
        _difference("stripe_balance_rollforward"),
        # not of its own model: a failed test keeps what reads the model from being built, and that is to show it
        _difference("stripe_daily_balance"),
        {
            "sums_to_zero": {
                "name": "stripe_balance_rollforward_adds_up",
                "arguments": {
                    "expression": "opening + net + payouts + difference - closing",
                    "group_by": ["account", "month", "currency"],
                },
            }
        },
    ),
    "stripe_payouts": (_difference("stripe_payouts"),),
    "stripe_open_items": (
        {"no_status": {"name": "stripe_tie_out_has_no_variance", "arguments": {"status": "variance"}}},
        {"no_status": {"name": "stripe_tie_out_is_not_stale", "arguments": {"status": "stale"}, **WARNING}},
    ),
    "stripe_journal_lines": (
        {
            "sums_to_zero": {
                "name": "stripe_journal_lines_balance",
                "arguments": {
                    "expression": "debit - credit",
                    "group_by": ["account", "journal_date", "currency", "source"],
                },
            }
        },
    ),
}
"""What the figures of a mart say of themselves: anything else than 0.00 is an error, what is stale a warning."""


def _intermediate() -> list[dict[str, Any]]:
    return [{"name": name, "description": text} for name, text in inputs.descriptions().items()]


def _yaml(value: Mapping[str, Any]) -> str:
    return f"# {MADE}\n{yaml_text({'version': 2, **value})}"
