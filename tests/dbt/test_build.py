"""The dbt package, installed from git, builds the marts in DuckDB and PostgreSQL as `read_mart` has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stripe_reports_source.marts.catalog import MARTS

from .answers import ANSWERS
from .project import Outcome, needs_dbt
from .world import TARGETS, truth

pytestmark = [needs_dbt, pytest.mark.timeout(600)]


def test_a_build_passes_all_its_tests(built: Mapping[str, Outcome]) -> None:
    for outcome in built.values():
        assert outcome.code == 0, outcome.text
        assert set(outcome.statuses.values()) == {"success", "pass", "no-op"}, outcome.text
        assert {*MARTS, "stripe_journal_lines_balance", "stripe_tie_out_has_no_variance"} <= set(outcome.statuses)


@pytest.mark.parametrize("target", TARGETS)
def test_a_mart_has_the_rows_that_are_read(
    target: str, read: Mapping[tuple[str, str], tuple[list[Any], list[Any]]]
) -> None:
    for name in MARTS:
        built, wanted = read[target, name]
        assert built == wanted, name
        assert built or name == "stripe_open_items"


@pytest.mark.parametrize("target", TARGETS)
def test_a_question_is_answered_as_the_ledger_says(target: str, answered: Mapping[tuple[str, str], list[Any]]) -> None:
    books = truth()
    for question, answer in ANSWERS.items():
        assert answered[target, question] == answer(books), question
