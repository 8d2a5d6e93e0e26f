"""The dbt package, installed from git, builds the marts in DuckDB and PostgreSQL as `read_mart` has them."""

from __future__ import annotations

import pytest

from stripe_reports_source.marts.catalog import MARTS

from .project import Outcome, needs_dbt
from .rows import built_rows, read_rows
from .world import Books

pytestmark = [needs_dbt, pytest.mark.timeout(600)]
TARGETS = ("duckdb", "postgres")


def test_a_build_passes_all_its_tests(built: Outcome, built_on_postgres: Outcome) -> None:
    for outcome in (built, built_on_postgres):
        assert outcome.code == 0, outcome.text
        assert set(outcome.statuses.values()) == {"success", "pass", "no-op"}, outcome.text
        assert {*MARTS, "stripe_journal_lines_balance", "stripe_tie_out_has_no_variance"} <= set(outcome.statuses)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MARTS)
def test_a_mart_has_the_rows_that_are_read(
    name: str, target: str, books: Books, built: Outcome, built_on_postgres: Outcome
) -> None:
    found = built_rows(books, target, name)
    assert found == read_rows(books, target, name)
    assert found or name == "stripe_open_items"
