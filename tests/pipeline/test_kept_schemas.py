"""dlt's schemas are read again only where they have changed, here or in their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline
from dlt.common.storages.schema_storage import SchemaStorage

from stripe_reports_source import load_reports, reconcile
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.warehouse.kept_schemas import keep_schemas
from tests.conftest import source_of

NAME = "stripe_reports"


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], Pipeline]:
    """The same pipeline as another program has it, with its schema in a folder that the user edits."""
    return lambda: dlt.pipeline(
        "reports",
        destination=dlt.destinations.duckdb(str(tmp_path / "reports.duckdb")),
        dataset_name="stripe",
        pipelines_dir=str(tmp_path / "pipelines"),
        import_schema_path=str(tmp_path / "import"),
    )


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The schemas that are read from their files from now on."""
    found: list[str] = []
    real = SchemaStorage.load_schema

    def load_schema(storage: SchemaStorage, name: str) -> Any:
        found.append(name)
        return real(storage, name)

    monkeypatch.setattr(SchemaStorage, "load_schema", load_schema)
    return found


def test_a_sync_does_not_read_the_schema_over_and_over(
    emulator: Emulator, opened: Callable[[], Pipeline], reads: list[str]
) -> None:
    load_reports(opened(), source_of(emulator, ["balance.summary"]))
    for _ in range(2):
        pipeline = opened()
        reads.clear()
        assert load_reports(pipeline, source_of(emulator, ["balance.summary"])).cells == 0
        assert reads == [NAME] * 2, "one of them sees that the file is not cut"
        pipeline = opened()
        reads.clear()
        assert reconcile(pipeline).ok
        assert reads == [NAME] * 2


def test_a_change_is_seen_wherever_it_is_made(
    emulator: Emulator, opened: Callable[[], Pipeline], tmp_path: Path
) -> None:
    load_reports(opened(), source_of(emulator, ["balance.summary"]))
    pipeline, other = opened(), opened()
    keep_schemas(pipeline)
    assert pipeline.default_schema is pipeline.default_schema

    def described() -> str | None:
        return pipeline.default_schema.tables["balance_summary"].get("description")

    other.default_schema.tables["balance_summary"]["description"] = "by another program"
    other.schemas.save_schema(other.default_schema)
    assert described() == "by another program"
    pipeline.default_schema.tables["balance_summary"]["description"] = "in memory"
    assert described() == "in memory"
    file = tmp_path / "import" / f"{NAME}.schema.yaml"
    file.write_text(file.read_text().replace("\ntables:\n", "\ntables:\n  by_hand:\n    columns: {}\n", 1))
    pipeline.schemas.save_schema(pipeline.default_schema, link_import_schema=False)
    assert "by_hand" in pipeline.default_schema.tables
