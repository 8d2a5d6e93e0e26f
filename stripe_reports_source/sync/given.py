"""A sync from files that were fetched before, on whichever machine: no report is run, and nothing is waited for.

In: a source's settings, files of planned cells. Out: the lanes of each report as the pipeline's own state and ledger
have them, and fetched cells. A cell that is to be loaded and has no file fails, so that no cursor passes it; a file
that is not to be loaded is said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dlt import Pipeline

from ..errors import ArchiveError, ConfigurationError, NotFetched
from ..plan.cells import CellFailure, CellRequest, FetchedCell
from ..plan.given import StoredRun, given_lanes
from ..plan.intervals import Span
from ..plan.lanes import Lane, LoadedBefore
from ..plan.planned import FetchedFile
from ..plan.report import Report
from ..plan.settings import Settings
from ..plan.stripe_objects import OfferedTypes
from ..rows.places import read_header
from ..stripe_api.api import StripeApi
from ..stripe_api.archive import Archive
from ..stripe_api.client import stripe_client
from ..warehouse.ledger import stored_runs
from .context import ANY_CELL
from .fetch import Stage

logger = logging.getLogger(__name__)

OLDER = "its file was fetched from older data than is loaded of it or beside it; plan and fetch again."


class GivenFiles:
    """See the module; of one load.

    Args:
        settings: of the source.
        offered: the report types that Stripe offers now.
        files: what was fetched.
    """

    def __init__(self, settings: Settings, offered: OfferedTypes, files: Sequence[FetchedFile]) -> None:
        self._settings = settings
        self.offered = offered
        self._files = [file for file in files if file.cell.account == settings.label]
        self._others = [file for file in files if file.cell.account != settings.label]
        self._chosen: dict[tuple[str, str], FetchedFile] = {}
        self._older: set[tuple[str, str]] = set()
        self._stored: dict[str, Mapping[str, StoredRun]] = {}
        self._archives: dict[str, Archive] = {}
        self._kept = None if settings.archive_url is None else Archive(settings.archive_url)

    @property
    def asked(self) -> dict[tuple[str, str], datetime]:
        """When Stripe was asked for what was given, by table and label, where it has newer data now."""
        now = {(offered.id, offered.updated) for offered in self.offered}
        return {
            (file.cell.table, file.cell.account): file.obtained.run.created
            for file in self._files
            if file.refused is None and (file.cell.report_type, file.cell.offered.updated) not in now
        }

    @property
    def again(self) -> dict[str, set[str]]:
        """The interval keys, by table, of files whose cells are to be loaded again without a cursor."""
        found: dict[str, set[str]] = {}
        for file in self._files:
            if file.cell.again and (file.cell.table, file.cell.interval_key) not in self._chosen:
                found.setdefault(file.cell.table, set()).add(file.cell.interval_key)
        return found

    def prove_account(self, api: StripeApi) -> None:
        """Refuse files of another account than the source's key is for: of each table one is looked at.

        Raises:
            ConfigurationError: Stripe does not know a file's run.
        """
        of_table = {file.cell.table: file for file in self._files if file.refused is None}
        for file in of_table.values():
            if not api.knows_run(file.run_id, self._settings.acts_on):
                raise ConfigurationError(
                    f"{file.cell.title} was fetched from another Stripe account or mode than this source's, which does "
                    f"not know the report run {file.run_id}. Build the source of every job with the same key."
                )

    def lanes(
        self,
        report: Report,
        loaded: LoadedBefore,
        window: Span | None,
        exact: Collection[str] | None,
        pipeline: Pipeline | None,
    ) -> list[Lane]:
        """The lanes of a report, as of the data that its files are from; of Stripe's present data where it has none.

        Args:
            report: the user's words.
            loaded: what is loaded already.
            window: of a backfill; None follows the cursor.
            exact: interval keys of loaded cells that alone are to be loaded again, as far as there are files of them.
            pipeline: whose ledger says what is loaded.

        Raises:
            ConfigurationError: the report cannot be loaded as asked.
        """
        stored = self._stored[report.table] = stored_runs(pipeline, report.table, self._settings.label)
        found = given_lanes(report, self._settings, self.offered, loaded, window, exact, self._files, stored)
        for each in found:
            self._chosen |= {(report.table, key): file for key, file in each.files.items()}
            self._older |= {(report.table, key) for key in each.older}
        return [each.lane for each in found]

    def fetcher(
        self,
        folder: Path,
        report_stage: Callable[[CellRequest, Stage, str | None], None],
        spoiled: Mapping[tuple[str, str], CellFailure],
    ) -> Callable[[CellRequest], FetchedCell]:
        """What brings the file of a cell to this disk; safe from several threads. See `Archived.fetcher`."""

        def fetch(request: CellRequest) -> FetchedCell:
            table = request.report.report.table
            known = spoiled.get((table, request.key)) or spoiled.get((table, ANY_CELL))
            if known is not None:
                raise known
            file = self._chosen.get((table, request.key))
            if file is None:
                older = (table, request.key) in self._older
                raise CellFailure(NotFetched(OLDER if older else "no file of it was given."), None)
            report_stage(request, "downloading", file.run_id)
            try:
                brought = self._bring(request, file, folder)
            except ArchiveError as error:
                raise CellFailure(NotFetched(f"its file cannot be had: {error}"), file.obtained) from error
            except Exception as error:
                raise CellFailure(error, file.obtained) from error
            report_stage(request, "fetched", file.run_id)
            return brought

        return fetch

    def say_left_over(self) -> None:
        """Say which files were not loaded, and why."""
        for file in self._others:
            logger.warning("%s: not loaded, the source is of account %r", file.cell.title, self._settings.label)
        for file in self._files:
            place = file.cell.table, file.cell.interval_key
            if file.refused is not None:
                logger.warning("%s: no report (yet): %s", file.cell.title, file.refused)
                continue
            if place in self._older and place not in self._chosen:
                continue  # the interval has failed, which says it
            chosen, stored = self._chosen.get(place), self._stored.get(place[0], {}).get(place[1])
            if file.run_id == (chosen.run_id if chosen else stored.run_id if stored else None):
                continue
            newer = chosen.run_id if chosen else stored.run_id if stored and stored.is_newer(file) else None
            logger.warning(
                "%s: the run %s is not loaded, %s",
                file.cell.title,
                file.run_id,
                f"the newer {newer} is" if newer else "it is not what the source asks for now",
            )

    def _bring(self, request: CellRequest, file: FetchedFile, folder: Path) -> FetchedCell:
        archive = self._archives.get(file.url)
        if archive is None:
            archive = self._archives[file.url] = Archive(file.url, "url")
        brought = archive.fetch(file.sha256, folder / f"{file.run_id}-{id(request):x}.csv")
        try:
            path = None if self._kept is None else self._kept.keep(brought)
            columns = request.report.table_columns(read_header(brought.path)[0])
        except BaseException:
            brought.path.unlink(missing_ok=True)
            raise
        return FetchedCell(request, file.span, file.obtained, replace(brought, archive_path=path), columns)


def given_files(settings: Settings, files: Iterable[FetchedFile | Mapping[str, Any]]) -> GivenFiles:
    """Files that are to be loaded, beside what Stripe offers now.

    Raises:
        ConfigurationError: they are not files of cells, or of another account.
        StripeError, StripeUnreachable: Stripe does not answer.
    """
    checked = [FetchedFile.from_json(file if isinstance(file, Mapping) else file.as_json()) for file in files]
    api = stripe_client(settings, time.sleep)
    given = GivenFiles(settings, api.report_types(settings.acts_on), checked)
    given.prove_account(api)
    return given
