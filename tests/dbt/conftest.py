"""One business, one project and few runs of dbt for all tests of the package: each run takes its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from .names import NAME
from .project import Outcome, Project, as_git_repository
from .world import NEXT_END, Books, opened


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
def built(project: Project) -> Outcome:
    """The first build in DuckDB: seed, models, tests."""
    return project.dbt("build", "--target", "duckdb")


@pytest.fixture(scope="session")
def built_on_postgres(project: Project) -> Outcome:
    """The first build in PostgreSQL."""
    return project.dbt("build", "--target", "postgres")


@pytest.fixture(scope="session")
def grown(books: Books, project: Project, built: Outcome, built_on_postgres: Outcome) -> Mapping[str, Outcome]:
    """The books after one more month, built again in both; what DuckDB's build came to, by target."""
    assert (built.code, built_on_postgres.code) == (0, 0)
    books.emulator.advance(NEXT_END)
    books.sync()
    return {target: project.dbt("build", "--target", target) for target in ("duckdb", "postgres")}
