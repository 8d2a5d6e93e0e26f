"""What is said at a glance of rows that are right is what each equation says of them itself, and nothing of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from dlt import Pipeline

from stripe_reports_source.reconcile.checks import Dataset, opened
from stripe_reports_source.reconcile.coverage import read_coverage
from stripe_reports_source.reconcile.equations import EQUATIONS, Equation
from stripe_reports_source.reconcile.glance import COPIES, OF_ROWS, Glances
from stripe_reports_source.reconcile.groups import tables_of
from stripe_reports_source.reconcile.inputs import INPUTS, ReportTable, glance_query
from stripe_reports_source.reconcile.queries import Figure, copies_query, equation_query, figure_of
from stripe_reports_source.reconcile.scope import Scope
from tests.reconcile.plants import TABLES
from tests.reconcile.worlds import NINE, Account, World, Worlds, looked, spoil

pytestmark = pytest.mark.long

DAILY = World("daily", (Account("shop", NINE, {"interval": "day"}),), datetime(2025, 1, 20, 12, tzinfo=timezone.utc))
SOME = Scope(touched=frozenset(f"shop|day|UTC|2025-01-{day:02}" for day in range(8, 18)))
ROWS = [equation for equation in EQUATIONS if equation.name in OF_ROWS]
A, P = TABLES["A"], TABLES["P"]


@contextmanager
def tables(pipeline: Pipeline) -> Iterator[tuple[Dataset, dict[str, list[ReportTable]]]]:
    with opened(pipeline) as dataset:
        coverage = read_coverage(dataset.reader, None)
        yield dataset, {name: tables_of(coverage, input_, dataset.columns) for name, input_ in INPUTS.items()}


def glances(dataset: Dataset, held: dict[str, list[ReportTable]], name: str, scope: Scope) -> Glances:
    query = glance_query(INPUTS[name], held[name], only=scope.touched)
    return Glances(INPUTS[name].base, dataset.answer(query))


@pytest.mark.parametrize("scope", [Scope(), SOME], ids=["all", "some"])
@pytest.mark.parametrize("equation", ROWS, ids=lambda equation: f"{equation.file}-{equation.figure[0]}")
def test_a_glance_finds_what_the_equation_finds(
    worlds: Worlds, tmp_path: Path, equation: Equation, scope: Scope
) -> None:
    pipeline = worlds.copy(DAILY, tmp_path)
    # what has no id and no time is counted by neither, what has no currency by both
    spoil(
        pipeline,
        f"UPDATE {A} SET balance_transaction_id = NULL, created_utc = NULL WHERE _interval_day = '2025-01-09'",
        f"UPDATE {A} SET balance_transaction_id = '' WHERE _interval_day = '2025-01-10'",
        f"UPDATE {A} SET currency = NULL, fee = NULL, net = gross WHERE _interval_day = '2025-01-11'",
        f"UPDATE {P} SET currency = '' WHERE _interval_day = '2025-01-13'",
    )
    with tables(pipeline) as (dataset, held):
        name = equation.figure[0]
        found = glances(dataset, held, name, scope)
        assert not found.differ(equation.name)
        if equation.name == COPIES:
            query = copies_query(equation, INPUTS, held, scope, hashed=True)
            assert dataset.answer(query) == []
        own = map(figure_of, dataset.answer(equation_query(equation, INPUTS, held, scope, None, {}, hashed=True)))
        assert sorted(found.figures(equation.name), key=_key) == sorted(own, key=_key)


def _key(figure: Figure) -> tuple[str, str]:
    return figure.cell, figure.currency


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (f"UPDATE {A} SET net = net + 0.01 WHERE _interval_day = '2025-01-09'", "row_adds_up"),
        (
            f"UPDATE {A} SET created_utc = created_utc + INTERVAL 1 DAY WHERE _interval_day = '2025-01-09'",
            "row_lies_in_its_cell",
        ),
        (f"INSERT INTO {A} SELECT * FROM {A} WHERE _interval_day = '2025-01-09'", COPIES),
    ],
    ids=OF_ROWS,
)
def test_a_row_that_differs_is_found_by_its_equation(worlds: Worlds, tmp_path: Path, fault: str, name: str) -> None:
    pipeline = worlds.copy(DAILY, tmp_path)
    rows = spoil(pipeline, fault)
    [equation] = [equation for equation in ROWS if equation.name == name and equation.figure == ("activity",)]
    for scope in (Scope(), SOME):
        with tables(pipeline) as (dataset, held):
            if name == COPIES:
                query = copies_query(equation, INPUTS, held, scope, hashed=True)
                assert len(dataset.answer(query)) == 1 < rows
            else:
                assert glances(dataset, held, "activity", scope).differ(name)
        wrong = [each for each in looked(pipeline, scope) if each.equation == name and each.status == "variance"]
        assert len(wrong) == rows
    elsewhere = Scope(touched=frozenset({"shop|day|UTC|2025-01-12"}))
    assert not [each for each in looked(pipeline, elsewhere) if each.equation == name and each.status == "variance"]
