"""The files of the dbt package that are made from the catalogue and the marts.

In: the catalogue, the system tables, the marts' SQL and columns. Out: files by their path in `pipelines/dbt`.
`python -m tests.dbt` writes them; a test says when one is out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stripe_reports_source.plan.catalog import Column, load_catalog
from stripe_reports_source.plan.columns import SYSTEM_COLUMNS, TOMBSTONE
from stripe_reports_source.plan.report import Report
from stripe_reports_source.plan.system_tables import REPORT_FRESHNESS, SYSTEM_TABLES, TIE_OUT, SystemTable
from stripe_reports_source.plan.table_texts import SYSTEM_TEXTS, report_text

from . import marts
from .columns import columns_of, newest
from .names import MADE, NAME, PACKAGE, SOURCE, WARNING, short_name, staging_name
from .yaml_text import yaml_text

ADDED = {name: of for name, of in SYSTEM_COLUMNS.items() if name != TOMBSTONE}
"""What the source adds to each table of a report."""
SYSTEM_TESTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    REPORT_FRESHNESS.name: (
        {"loaded_as_far_as_stripe": {"name": "stripe_reports_are_loaded_as_far_as_stripe_has_them", **WARNING}},
    ),
}
"""What the tables say of themselves: what is behind is a warning."""


def files() -> dict[str, str]:
    """The text of each file, by its path in the package."""
    return {
        "models/sources.yml": _made_yaml({"version": 2, "sources": [_source()]}),
        "models/staging/staging.yml": _made_yaml({"version": 2, "models": list(_staging_properties())}),
        **{f"models/staging/{staging_name(table)}.sql": sql for table, sql in _staging_models()},
        "macros/added_columns.sql": _added_columns(),
        **marts.files(),
    }


def write(package: Path = PACKAGE) -> None:
    """Write them, and remove what was made of reports and marts that are not there any more."""
    made = files()
    for path in stale(made, package):
        path.unlink()
    for name, text in made.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def stale(made: Mapping[str, str], package: Path = PACKAGE) -> list[Path]:
    """The files that say that they are made, and are not."""
    found = [path for path in package.rglob("*") if path.suffix in (".sql", ".yml", ".md", ".csv")]
    return [
        path
        for path in sorted(found)
        if path.relative_to(package).as_posix() not in made and MADE in path.read_text(encoding="utf-8")
    ]


def _tables() -> list[tuple[str, str]]:
    return [(Report(base).table, base) for base in load_catalog().bases()]


def _system_tables() -> Sequence[SystemTable]:
    return (*SYSTEM_TABLES, TIE_OUT)


def _staging_models() -> Iterable[tuple[str, str]]:
    for table, base in _tables():
        columns = [(column.name, str(column.type)) for column in columns_of(base)]
        enabled = "" if base in marts.REPORTS else f"{{{{ config(enabled='{base}' in var('stripe_reports')) }}}}\n"
        yield table, f"-- {MADE}\n{enabled}{_staged(table, columns, added=True)}"
    for system_table in _system_tables():
        own = [(name, str(type_)) for name, (type_, _) in system_table.columns.items()]
        yield system_table.name, f"-- {MADE}\n{_staged(system_table.name, own, added=False)}"


def _staged(table: str, columns: Sequence[tuple[str, str]], *, added: bool) -> str:
    ours = f", {NAME}.added_columns()" if added else ""
    return f"{{{{ {NAME}.staged('{table}', {_listed(columns)}{ours}) }}}}\n"


def _added_columns() -> str:
    listed = _listed([(name, str(type_)) for name, (type_, _) in ADDED.items()])
    note = f"{{# {MADE} What the source adds to each table of a report: name and type. #}}\n"
    return f"{note}{{% macro added_columns() %}}\n{{{{ return({listed}) }}}}\n{{% endmacro %}}\n"


def _listed(columns: Sequence[tuple[str, str]]) -> str:
    return "[\n" + "".join(f"    ['{name}', '{type_}'],\n" for name, type_ in columns) + "]" if columns else "[]"


def _source() -> dict[str, Any]:
    return {
        "name": SOURCE,
        "description": "Stripe's financial reports, as stripe_reports_source has loaded them.",
        "database": "{{ var('stripe_database') or target.database }}",
        "schema": "{{ var('stripe_schema') }}",
        "loader": "dlt",
        "tables": [
            *(_system_source(system_table) for system_table in _system_tables()),
            _data_freshness(),
            *(
                _source_table(table, report_text(Report(base)), [*_described(columns_of(base)), *_described_added()])
                for table, base in _tables()
            ),
        ],
    }


def _source_table(name: str, text: str, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    identifier = f"{{{{ var('stripe_tables').get('{name}', '{name}') }}}}"
    return {"name": name, "identifier": identifier, "description": text, "columns": columns}


def _system_source(table: SystemTable) -> dict[str, Any]:
    made = _source_table(table.name, SYSTEM_TEXTS[table.name], _described_system(table))
    return {**made, **_freshness("checked_at", "stripe_warn_after_hours")} if table == REPORT_FRESHNESS else made


def _data_freshness() -> dict[str, Any]:
    """The table of freshness once more: how far Stripe's own data reaches."""
    made = _source_table(REPORT_FRESHNESS.name, "report_freshness again: how far the data reaches that Stripe has.", [])
    return {**made, "name": "report_availability", **_freshness("available_to", "stripe_data_warn_after_hours")}


def _freshness(column: str, hours: str) -> dict[str, Any]:
    """That of the lane which is furthest behind, but for accounts that have left and are asked for no more."""
    asked = "where available_to is not null or open_failures > 0"
    config = {
        "freshness": {"warn_after": {"count": f"{{{{ var('{hours}') }}}}", "period": "hour"}},
        "loaded_at_query": f"select min({column}) from {{{{ this }}}} {asked}",
    }
    return {"config": config}


def _described(columns: Iterable[Column]) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "description": column.description,
            **({"config": {"meta": {"personal": True}}} if column.personal else {}),
        }
        for column in columns
    ]


def _described_added() -> list[dict[str, Any]]:
    return [{"name": name, "description": text} for name, (_, text) in ADDED.items()]


def _described_system(table: SystemTable) -> list[dict[str, Any]]:
    return [{"name": name, "description": text} for name, (_, text) in table.columns.items()]


def _staging_properties() -> Iterable[dict[str, Any]]:
    for table, base in _tables():
        properties = {
            "name": staging_name(table),
            "description": report_text(Report(base)),
            **_unique_key(base),
            "columns": [*_described(columns_of(base)), *_described_added()],
        }
        yield properties
    for system_table in _system_tables():
        yield {
            "name": staging_name(system_table.name),
            "description": SYSTEM_TEXTS[system_table.name],
            **_tests(_unique(system_table.name, system_table.key), *SYSTEM_TESTS.get(system_table.name, ())),
            "columns": _described_system(system_table),
        }


def _unique_key(base: str) -> dict[str, Any]:
    """A test of the key, of reports whose key is known for certain."""
    known = newest(base)
    named = {column.name for column in columns_of(base)}
    if not known.key or not named.issuperset(known.key) or "inferred" in known.row or "repeat" in known.row:
        return {}
    within = () if known.shape == "per_payout" else ("_interval_key",)
    return _tests(_unique(Report(base).table, ("_account", *within, *known.key)))


def _unique(table: str, columns: Sequence[str]) -> dict[str, Any]:
    return {"unique_together": {"name": f"{short_name(table)}_is_unique", "arguments": {"columns": list(columns)}}}


def _tests(*tests: Mapping[str, Any]) -> dict[str, Any]:
    return {"data_tests": list(tests)}


def _made_yaml(value: Mapping[str, Any]) -> str:
    return f"# {MADE}\n{yaml_text(value)}"
