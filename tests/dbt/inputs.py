"""What the marts read, as dbt models: reports with one sign and one set of names, and the cells that are loaded.

In: the inputs of `stripe_reports_source.marts.inputs`. Out: SQL with dbt's macros. Where `marts.input_sql` looks at
what a dataset holds, these look when dbt compiles them, or in SQL.
"""

from __future__ import annotations

from collections.abc import Iterable

from stripe_reports_source.marts.input_sql import columns_of as input_columns
from stripe_reports_source.marts.inputs import CELLS, REPORT_INPUTS, InputColumn, MartInput
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.column_types import AMOUNT, ColumnType
from stripe_reports_source.plan.report import Report
from stripe_reports_source.plan.whose_data import CONNECTED

from .columns import columns_of
from .names import NAME, staging_name

INCREMENTAL = ("activity", "settled")
"""Those with many rows, which are kept cell by cell."""
ALWAYS = tuple(input_.base for input_ in REPORT_INPUTS.values() if input_.name != "settled_by_id")
"""The reports that marts read whatever `stripe_reports` says; the others count where it names them."""
CELL = ("_account", "_interval_key", "_dlt_load_id")
"""What tells of a row which cell it is of, as it was loaded."""
_CONNECTED_KEY = 'like \'%"connected_account":"%\''


def input_model(name: str) -> str:
    """The model of an input."""
    return staging_name(name) if name == "tie_out" else f"int_stripe__{name}"


def models() -> dict[str, str]:
    """The SQL of each model, by its name."""
    rows = {input_model(input_.name): _rows(input_) for input_ in REPORT_INPUTS.values()}
    return {**rows, input_model("cells"): _cells()}


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
    own = _of_report(input_, connected=False)
    connected = _of_report(input_, connected=True)
    if input_.base in ALWAYS:
        return (
            f"{_config(input_)}{own}{{%- if {_named(input_.connected_base)} %}}\nunion all\n{connected}{{%- endif %}}\n"
        )
    both = f"{_named(input_.base)} and {_named(input_.connected_base)}"
    neither = f"not ({_named(input_.base)} or {_named(input_.connected_base)})"
    return (
        f"{{%- if {_named(input_.base)} %}}\n{own}{{%- endif %}}\n{{%- if {both} %}}\nunion all\n{{%- endif %}}\n"
        f"{{%- if {_named(input_.connected_base)} %}}\n{connected}{{%- endif %}}\n"
        f"{{%- if {neither} %}}\n{_nothing(input_)}{{%- endif %}}\n"
    )


def _config(input_: MartInput) -> str:
    if input_.name not in INCREMENTAL:
        return ""
    tables = [Report(base).table for base in (input_.base, input_.connected_base)]
    return (
        "{{ config(\n"
        "    materialized='incremental',\n"
        "    on_schema_change='fail',\n"
        f'    pre_hook="{{{{ {NAME}.remove_changed_cells({tables}) }}}}",\n'
        ") }}\n"
        "-- depends_on: {{ ref('stg_stripe__report_cells') }}\n"
    )


def _named(base: str) -> str:
    return f"'{base}' in var('stripe_reports')"


def _of_report(input_: MartInput, *, connected: bool) -> str:
    base = input_.connected_base if connected else input_.base
    listed = {about.name: _value(about, base) for about in input_.columns}
    listed |= {name: _worked_out(how, input_, base, connected) for name, how in input_.worked_out.items()}
    columns = [value if value == name else f"{value} as {name}" for name, value in listed.items()]
    conditions = [*_conditions(input_, base, connected)]
    if input_.name in INCREMENTAL:
        conditions.append(f"{{{{ {NAME}.of_new_cells('report') }}}}")
    return (
        "select\n    "
        + ",\n    ".join([*columns, *CELL])
        + f"\nfrom {{{{ ref('{staging_name(Report(base).table)}') }}}} as report\nwhere "
        + "\n  and ".join(conditions)
        + "\n"
    )


def _conditions(input_: MartInput, base: str, connected: bool) -> Iterable[str]:
    yield f"{{{{ {NAME}.has_columns({_needs(input_, base)}) }}}}"
    if _on_grid(input_):
        yield f"{{{{ {NAME}.all_rows('_interval_key') }}}}"
    if connected:
        yield f"{_account(base, connected)} is not null"
        if input_.base in ALWAYS:
            yield f"{_account(base, connected)} not in {_own_accounts(input_)}"
    if input_.lines:
        lines = ", ".join(f"'{line}'" for line in input_.lines)
        line = next(about for about in input_.columns if about.name == "line")
        yield f"{_source(line, base)} in ({lines})"


def _own_accounts(input_: MartInput) -> str:
    """The accounts whose report is loaded by itself."""
    own = staging_name(Report(input_.base).table)
    return f"(select _account from {{{{ ref('{own}') }}}} where _account is not null)"


def _needs(input_: MartInput, base: str) -> str:
    """The table, the columns without which it is not read, and those of which one must be there."""
    utc, local = input_.times
    needed = [list(about.sources) for about in input_.columns if about.needed]
    times = [list(dict.fromkeys((*utc, *local)))] if utc else []
    return f"'{Report(base).table}', {[*needed, *times]}"


def _on_grid(input_: MartInput) -> bool:
    newest = load_catalog().versions(input_.base)[-1]
    return newest.shape != "per_payout"


def _source(about: InputColumn, base: str) -> str:
    """The column of a staging model; staging has put times in UTC where they belong."""
    kinds = {column.name: column.type.kind for column in columns_of(base)}
    names = [name for name in about.sources if kinds.get(name) == about.type.kind] or list(about.sources[:1])
    return names[0] if len(names) == 1 else f"{{{{ {NAME}.first_loaded('{Report(base).table}', {names}) }}}}"


def _value(about: InputColumn, base: str) -> str:
    types = {column.name: column.type for column in columns_of(base)}
    if not any(name in types for name in about.sources):
        return f"cast(null as {_type(about.type)})"
    value = _source(about, base)
    if about.type == AMOUNT and types.get(about.sources[0]) != AMOUNT:
        value = f"cast({value} as {_type(AMOUNT)})"
    if about.needed:
        value = f"coalesce({value}, {'0' if about.type == AMOUNT else repr('')})"
    return f"{about.sign}{value}"


def _type(type_: ColumnType) -> str:
    return f"{{{{ {NAME}.type_of('{type_}') }}}}"


def _worked_out(how: str, input_: MartInput, base: str, connected: bool) -> str:
    if how in ("day", "month"):
        utc, local = (list(names) for names in input_.times)
        grid = "'_interval_key'" if _on_grid(input_) else "none"
        day = f"{NAME}.day_of('{Report(base).table}', {utc}, {local}, {grid})"
        return f"{{{{ {day} }}}}" if how == "day" else f"{{{{ {NAME}.month_of({day}) }}}}"
    return {
        "account": _account(base, connected),
        "cell_day": "_interval_day",
        "cell_first_day": f"{{{{ {NAME}.first_day_of('_interval_start', '_interval_key') }}}}",
        "cell_last_day": f"{{{{ {NAME}.last_day_of('_interval_end', '_interval_key') }}}}",
        "cell_start": "_interval_start",
        "cell_end": "_interval_end",
    }[how]


def _account(base: str, connected: bool) -> str:
    """Whose rows they are: of a report over connected accounts, which its run or each row names."""
    if not connected:
        return "_account"
    named = f"{{{{ {NAME}.connected_account_of('_interval_key') }}}}"
    of_rows = any(column.name == CONNECTED for column in columns_of(base))
    return f"case when _interval_key {_CONNECTED_KEY} then {named}{f' else {CONNECTED}' if of_rows else ''} end"


def _nothing(input_: MartInput) -> str:
    types = {**input_columns(input_), **{name: ColumnType("text") for name in CELL}}
    listed = ",\n    ".join(f"cast(null as {_type(type_)}) as {name}" for name, type_ in types.items())
    return f"select\n    {listed}\nfrom (select 1 as nothing) as nothing\nwhere 1 = 0\n"


def _cells() -> str:
    """The cells of all tables that inputs are read from."""
    inputs = [input_ for input_ in REPORT_INPUTS.values() if input_.base in ALWAYS]
    own = "\nunion all\n".join(_cells_of(input_, connected=False) for input_ in inputs)
    connected = "".join(
        f"{{%- if {_named(input_.connected_base)} %}}\nunion all\n{_cells_of(input_, connected=True)}\n{{%- endif %}}\n"
        for input_ in inputs
    )
    return f"{own}\n{connected}"


def _cells_of(input_: MartInput, *, connected: bool) -> str:
    base = input_.connected_base if connected else input_.base
    account = f"{{{{ {NAME}.connected_account_of('interval_key') }}}}" if connected else "account"
    bounds = ("'interval_start', 'interval_key'", "'interval_end', 'interval_key'")
    values = {
        "input": f"'{input_.name}'",
        "account": account,
        "first_day": "interval_day" if input_.name == "unsettled" else f"{{{{ {NAME}.first_day_of({bounds[0]}) }}}}",
        "last_day": f"{{{{ {NAME}.last_day_of({bounds[1]}) }}}}",
        "start_at": "interval_start",
        "end_at": "interval_end",
        "complete": "coalesce(complete, false)",
    }
    listed = ", ".join(values[name] if values[name] == name else f"{values[name]} as {name}" for name in CELLS)
    table = Report(base).table
    conditions = [
        f"table_name in ({{{{ {NAME}.identifiers(['{table}']) }}}})",
        f"{{{{ {NAME}.has_columns({_needs(input_, base)}) }}}}",
        f"{{{{ {NAME}.all_rows('interval_key') }}}}",
    ]
    if connected:
        conditions += [f"interval_key {_CONNECTED_KEY}", f"{account} not in {_own_accounts(input_)}"]
    where = "\n  and ".join(conditions)
    return f"select {listed}\nfrom {{{{ ref('stg_stripe__report_cells') }}}}\nwhere {where}"
