"""One business, one project and few runs of dbt for all tests of the package: each run takes its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stripe_reports_source.marts.catalog import MARTS

from .names import NAME
from .project import Outcome, Project, as_git_repository
from .questions import questions
from .rows import built_rows, read_rows
from .world import NEXT_END, TARGETS, Books, opened


@pytest.fixture(scope="session")
def books(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Books]:
    """A business, loaded once into both databases."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("books")
        patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        patch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
        with opened(folder, postgres) as made:
            made.sync()
            yield made


@pytest.fixture(scope="session")
def project(books: Books) -> Project:
    """A dbt project that has the package installed from a folder of a git repository."""
    address = as_git_repository(books.folder / "repository")
    made = books.project()
    done = made.make({"git": address, "subdirectory": "pipelines/dbt", "revision": "main"})
    assert done.code == 0, done.text
    assert (made.folder / "dbt_packages" / NAME / "dbt_project.yml").exists()
    return made


@pytest.fixture(scope="session")
def built(project: Project) -> Mapping[str, Outcome]:
    """The first build in each database: seed, models, tests."""
    return project.dbt_in_each(TARGETS, "build")


@pytest.fixture(scope="session")
def read(books: Books, built: Mapping[str, Outcome]) -> Mapping[tuple[str, str], tuple[list[Any], list[Any]]]:
    """The rows of each mart after the first builds, as dbt has them and as this package reads them."""
    for outcome in built.values():
        assert outcome.code == 0, outcome.text
    return {
        (target, name): (built_rows(books, target, name), read_rows(books, target, name))
        for target in TARGETS
        for name in MARTS
    }


@pytest.fixture(scope="session")
def answered(books: Books, read: Any) -> Mapping[tuple[str, str], list[Any]]:
    """What the first builds answer to each question, by target and question."""
    return {(target, name): books.rows(target, sql) for target in TARGETS for name, sql in questions().items()}


@pytest.fixture(scope="session")
def grown(books: Books, project: Project, read: Any, answered: Any) -> Mapping[str, Outcome]:
    """The books after one more month, built again in both; what the builds came to, by target."""
    books.emulator.advance(NEXT_END)
    books.sync()
    return project.dbt_in_each(TARGETS, "build")
