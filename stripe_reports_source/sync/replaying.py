"""A sync from an archive instead of Stripe: no key, no request.

In: an archive. Out: the lanes of each report, and fetched cells with the run, interval and columns that they were
loaded with before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from dlt import Pipeline

from ..errors import ConfigurationError
from ..plan.archived import archived_lanes, archived_reports, archived_types
from ..plan.cells import CellFailure, CellRequest, FetchedCell
from ..plan.intervals import parse_zone
from ..plan.lanes import Lane
from ..plan.report import Defaults
from ..plan.settings import RetryPolicy, RunPolicy, Settings
from ..plan.state import LaneStates
from ..plan.stripe_objects import OfferedTypes
from ..stripe_api.archive import Archive
from ..warehouse.ledger import loaded_runs
from .context import ANY_CELL
from .fetch import Stage
from .package import cells_in_package


class Archived:
    """What an archive holds: read once, when the source is built."""

    def __init__(self, url: str) -> None:
        """See the class.

        Raises:
            ConfigurationError: there is no such archive, or it is empty.
            ArchiveError: it cannot be read.
        """
        self.archive = Archive(url)
        self._manifests = self.archive.manifests()
        if not self._manifests:
            raise ConfigurationError(f"the archive {self.archive.shown} has no manifests; there is nothing to load.")
        self._cells = {
            (manifest.table, manifest.request.key, manifest.run.id): manifest for manifest in self._manifests
        }

    @property
    def settings(self) -> Settings:
        """Settings of a source that asks Stripe nothing: a report for each table of the archive."""
        return Settings(
            reports=archived_reports(self._manifests),
            defaults=Defaults("month", 0, parse_zone("UTC")),
            start_date=None,
            end_date=None,
            account=self._manifests[-1].request.label,
            stripe_account=None,
            connected_accounts=(),
            max_concurrent_runs=4,
            run_policy=RunPolicy(),
            retry_policy=RetryPolicy(),
            api_base_url="",
            files_base_url="",
            api_key="",
        )

    @property
    def offered(self) -> dict[str, OfferedTypes]:
        """The report types, as they were last offered, by the account's label."""
        return archived_types(self._manifests)

    @property
    def asked(self) -> dict[tuple[str, str], datetime]:
        """When Stripe was asked last for what is loaded of each account, by table and label."""
        asked: dict[tuple[str, str], datetime] = {}
        for manifest in self._manifests:
            place, created = (manifest.table, manifest.request.label), manifest.run.created
            asked[place] = max(created, asked.get(place, created))
        return asked

    def lanes(self, table: str, states: LaneStates, pipeline: Pipeline | None) -> list[Lane]:
        """The lanes of a table.

        Raises:
            ConfigurationError: the table holds what the archive does not: a replay could replace it by older data. Or
                the load package has other runs under one of the archive's labels, which may be another account's.
        """
        ours = {manifest.run.id for manifest in self._manifests}
        labels = {manifest.request.label for manifest in self._manifests if manifest.table == table}
        for label, cells in cells_in_package(table).items():
            strange = sorted({*cells.values()} - ours) if label in labels else []
            if strange:
                raise ConfigurationError(
                    f"account {label!r}: the report run {strange[0]} of table {table!r}, which is loaded together with "
                    f"the archive {self.archive.shown}, is not in it and may be another Stripe account's; replay each "
                    "archive into a dataset of its own."
                )
        others = sorted(loaded_runs(pipeline, table) - ours)
        if others:
            raise ConfigurationError(
                f"table {table!r} holds the report run {others[0]}, which is not in the archive {self.archive.shown}; "
                "replay into another dataset."
            )
        return archived_lanes(table, self._manifests, states)

    def fetcher(
        self,
        folder: Path,
        report_stage: Callable[[CellRequest, Stage, str | None], None],
        spoiled: Mapping[tuple[str, str], CellFailure],
    ) -> Callable[[CellRequest], FetchedCell]:
        """What brings the file of a cell to this disk; safe from several threads.

        Args:
            folder: where files go.
            report_stage: called with each step of each cell.
            spoiled: cells that are known not to fit.
        """

        def fetch(request: CellRequest) -> FetchedCell:
            replayed, table = request.replayed, request.report.report.table
            if replayed is None:
                raise AssertionError("a replay plans archived cells only")
            known = spoiled.get((table, request.key)) or spoiled.get((table, ANY_CELL))
            if known is not None and not replayed.superseded:
                raise known
            manifest = self._cells[table, request.key, replayed.run_id]
            try:
                report_stage(request, "downloading", manifest.run.id)
                file = self.archive.fetch(manifest.sha256, folder / f"{manifest.run.id}-{id(request):x}.csv")
            except Exception as error:
                raise CellFailure(error, manifest.obtained) from error
            report_stage(request, "fetched", manifest.run.id)
            return FetchedCell(request, manifest.span, manifest.obtained, file, manifest.columns)

        return fetch
