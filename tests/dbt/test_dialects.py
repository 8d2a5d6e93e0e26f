"""Snowflake and BigQuery: their adapters of dbt compile every model without sending anything, and sqlglot reads it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import sqlglot
from sqlglot import exp

from stripe_reports_source.marts.catalog import MARTS
from stripe_reports_source.plan.catalog import load_catalog

from .names import staging_name
from .project import Project, needs_dbt

pytestmark = [needs_dbt, pytest.mark.timeout(600)]
ALL = "{stripe_reports: [" + ", ".join(load_catalog().bases()) + "]}"


def has_adapter(name: str) -> bool:
    """True where dbt has an adapter."""
    return find_spec("dbt") is not None and find_spec(f"dbt.adapters.{name}") is not None


@pytest.mark.long
@pytest.mark.parametrize("dialect", ["snowflake", "bigquery"])
def test_every_model_is_sql_of_the_dialect(project: Project, dialect: str) -> None:
    if not has_adapter(dialect):
        pytest.skip(f"dbt-{dialect} is not installed: .ci/run has an environment")
    # without a look at the database: each table counts as not loaded, so that a model has the types of its columns
    outcome = project.dbt("compile", "--no-introspect", "--no-populate-cache", "--vars", ALL, target=dialect)
    assert outcome.code == 0, outcome.text
    compiled = project.compiled(dialect)
    assert {*MARTS, staging_name("balance_summary"), "int_stripe__cells"} <= set(compiled)
    assert len([name for name in compiled if name.startswith("stg_")]) >= len(load_catalog().bases())
    for name, sql in compiled.items():
        read = sqlglot.parse_one(sql, read=dialect)
        assert isinstance(read, exp.Query), name
        assert not list(read.find_all(exp.Command)), name


@pytest.mark.long
def test_nothing_loaded_builds_too(project: Project) -> None:
    outcome = project.dbt("build", "--vars", ALL, target="empty")
    assert outcome.code == 0, outcome.text
    assert set(outcome.statuses.values()) == {"success", "pass", "no-op"}, outcome.text
