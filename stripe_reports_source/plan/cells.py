"""A cell on its way, noun by noun: asked for, run, downloaded, fetched; or failed. Pure.

In: what was planned, and what Stripe answered. Out: frozen values; nothing here asks or reads anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .columns import TableColumn
from .intervals import Cell, Span
from .resolve import ResolvedReport
from .stripe_objects import ReportRun


@dataclass(frozen=True)
class Replayed:
    """That a cell comes from an archive instead of Stripe.

    Args:
        run_id: the archived run.
        superseded: a later run of the cell is archived, whose rows count: this one is only noted.
        backfill: no sync has loaded the cell, so that it moves no cursor.
    """

    run_id: str
    superseded: bool
    backfill: bool


@dataclass(frozen=True, slots=True)
class CellRequest:
    """A cell of a report of an account. `label` is the `_account` value, `account` the Stripe-Account header.

    `key` is the `_interval_key` of the cell: one text for all who speak of it, as there may be thousands of cells.
    """

    report: ResolvedReport
    label: str
    account: str | None
    cell: Cell
    replayed: Replayed | None = None
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.report.cell_key(self.label, self.cell.first_day))

    @property
    def title(self) -> str:
        """What is asked for, in words: the interval, or the key of a report without one."""
        return self.report.filters if self.report.keys else str(self.cell.span)


@dataclass(frozen=True, slots=True)
class Obtained:
    """A run in its present state, and how this sync got it: created or adopted, at which attempt."""

    run: ReportRun
    attempt: int
    adopted: bool


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A result file on disk, whole: bytes as announced, and what a reader can check it by.

    `archive_path` is where the file is kept for good; None where nothing keeps it.
    """

    path: Path
    bytes: int
    sha256: str
    archive_path: str | None = None


@dataclass(frozen=True, slots=True)
class FetchedCell:
    """A cell on this disk. `span` is the interval that was really asked for."""

    request: CellRequest
    span: Span
    obtained: Obtained
    file: Downloaded
    columns: tuple[TableColumn, ...]


@dataclass(frozen=True, slots=True)
class LoadedCell:
    """A cell in a load package: what the destination has to hold of it once the package is loaded.

    Args:
        request: the cell.
        lane: key of its lane.
        resource: name of its dlt resource.
        span: the interval that was really asked for.
        run_id: the report run.
        rows: of the file.
        altered: something of the user's may change how many rows are stored: steps of the resource, or its contract.
    """

    request: CellRequest
    lane: str
    resource: str
    span: Span
    run_id: str
    rows: int
    altered: bool


@dataclass(frozen=True, slots=True)
class CountedCell:
    """A cell that is loaded: its table, lane and interval key, and the rows that the destination holds of it."""

    table: str
    lane: str
    key: str
    rows: int


class CellFailure(Exception):
    """Carries an error out of a worker together with the run it happened to, if there was one."""

    def __init__(self, error: Exception, obtained: Obtained | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.obtained = obtained
