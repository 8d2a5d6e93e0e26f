"""What the marts read, as dbt models: reports with one sign and one set of names, and the cells that are loaded.

In: the inputs of `stripe_reports_source.marts.inputs`. Out: SQL with dbt's macros. Where `marts.input_sql` looks at what
a dataset holds, these look when dbt compiles them, or in SQL.
"""

from __future__ import annotations

from collections.abc import Iterator

from stripe_reports_source.marts.inputs import CELLS, REPORT_INPUTS, InputColumn, MartInput
from stripe_reports_source.plan.column_types import AMOUNT
from stripe_reports_source.plan.report import Report

from .names import NAME, staging_name

INCREMENTAL = ("activity", "settled")
"""Those with many rows, which are kept cell by cell."""
ALWAYS = tuple(input_.base for input_ in REPORT_INPUTS.values() if input_.name != "settled_by_id")
"""The reports that marts read whatever `stripe_reports` says; the others count where it names them."""
CELL = ("_account", "_interval_key", "_dlt_load_id")
"""What tells of a row which cell it is of, as it was loaded."""


def input_model(name: str) -> str:
    """The model of an input."""
    if name == "tie_out":
        return staging_name(name)
    return f"int_stripe__{name}"


def models() -> dict[str, str]:
    """The SQL of each model, by its name."""
    return {input_model(input_.name): _rows(input_) for input_ in REPORT_INPUTS.values()} | {
        input_model("cells"): _cells()
    }


def descriptions() -> dict[str, str]:
    """What each model holds."""
    texts = {
        input_model(input_.name): f"Rows of {input_.base} as the marts read them: amounts are effects on the balance."
        for input_ in REPORT_INPUTS.values()
    }
    cells = "What is loaded of each report that the marts read, interval by interval."
    chart = "The chart of accounts: the seed, and before it what `stripe_ledger_accounts` names."
    return {**texts, input_model("cells"): cells, input_model("ledger_accounts"): chart}


def _rows(input_: MartInput) -> str:
    """The rows of a report, and of the same report over connected accounts."""
    own, connected = input_.base, input_.connected_base
    parts = [_of_report(input_, own, connected=False), _of_report(input_, connected, connected=True)]
    nowhere = f"{{%- if not ('{own}' in var('stripe_reports') or '{connected}' in var('stripe_reports')) %}}\n"
    if own in ALWAYS:
        return (
            f"{_config(input_)}{parts[0]}\n{{%- if '{connected}' in var('stripe_reports') %}}\nunion all\n{parts[1]}\n"
            "{%- endif %}\n"
        )
    return f"{_config(input_)}{nowhere}"


def _config(input_: MartInput) -> str:
    return ""


def _of_report(input_: MartInput, base: str, *, connected: bool) -> str:
    return ""


def _cells() -> Iterator[str]:
    raise NotImplementedError
