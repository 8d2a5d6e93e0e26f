"""What Dagster shows of a partition that was materialized.

In: what the dataset says. Out: metadata by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from dagster import MetadataValue
from dlt import Pipeline

from ... import ReportTable
from .dataset import counted, freshness, stored_cells, verdicts
from .work import Fetched

LOADED_TO = "stripe/loaded_to"
"""Up to when the partition is loaded; the sensor reads it."""
MOST_CELLS = 50
"""Cells whose runs and files are listed."""


def materialized(pipeline: Pipeline, table: ReportTable, days: tuple[date, date], done: Fetched) -> dict[str, Any]:
    """Rows, runs, files, freshness and verdict of a partition, as they are stored now."""
    cells = stored_cells(pipeline, table, days, done.files)
    found = verdicts(pipeline, table, days)
    shown = cells[:MOST_CELLS]
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": sum(cell.rows for cell in cells),
        "stripe/cells": len(cells),
        "stripe/cells_loaded": done.loaded.cells,
        "stripe/tie_out": counted(found),
        **_listed("stripe/run_id", [cell.run_id for cell in shown]),
        **_listed("stripe/sha256", [cell.sha256 for cell in shown if cell.sha256]),
    }
    ends = [cell.interval_end for cell in cells if cell.interval_end is not None]
    if ends:
        metadata[LOADED_TO] = MetadataValue.timestamp(max(ends))
    fresh = freshness(pipeline, table)
    if fresh is not None:
        metadata["stripe/checked_at"] = MetadataValue.timestamp(fresh.checked_at)
        metadata["stripe/open_failures"] = fresh.open_failures
        if fresh.available_to is not None:
            metadata["stripe/available_to"] = MetadataValue.timestamp(fresh.available_to)
    return metadata


def _listed(name: str, values: Sequence[str]) -> dict[str, Any]:
    """A text where there is one value, a list where there are several."""
    if not values:
        return {}
    return {name: values[0] if len(values) == 1 else MetadataValue.json(list(values))}
