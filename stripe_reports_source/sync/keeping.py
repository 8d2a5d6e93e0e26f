"""The manifest of a cell: what the archive says of a file, written before a row of it is loaded.

In: planned lanes; a fetched cell whose file is in the archive, and its lane. Out: a refusal where the archive has
another account's files under the label; a manifest in the archive. It is written when the cell's turn has come, not
when its file has: a file that is fetched ahead of a cell that then fails is not loaded, and a replay must not load it
either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from ..errors import ArchiveError, ConfigurationError
from ..plan.account_run import OLD, AccountRun
from ..plan.cells import CellFailure, FetchedCell
from ..plan.lanes import Lane
from ..plan.manifest import Manifest
from ..rows.places import read_header
from ..stripe_api.archive import Archive


class Keeping:
    """The archive that a load writes to.

    A replay has no Stripe to ask whose files lie under a label. So it is asked here, once for each load.

    Args:
        archive: what is written to.
        knows: tells whether the key's account knows a report run.
        label: the `_account` value.
        account: the account that the load acts on, which Stripe checks; None for the key's own.
    """

    def __init__(self, archive: Archive, knows: Callable[[str], bool], label: str, account: str | None) -> None:
        self.archive = archive
        self._knows = knows
        self._label = label
        self._account = account
        self._proven: dict[bool, AccountRun | None] = {}

    def check(self, lanes: Sequence[Lane]) -> None:
        """Refuse cells whose files would lie under the label of another Stripe account's, before a run is made.

        An archive that does not answer now is asked again when a cell is noted, which fails by it.

        Raises:
            ConfigurationError: the archive has such files.
        """
        for lane in [lane for lane in lanes if lane.cells][:1]:  # those of a report are of one account and mode
            with suppress(ArchiveError):
                self._prove(lane.resolved.offered.livemode)

    def note(self, fetched: FetchedCell, lane: Lane) -> None:
        """Write a cell's manifest, unless it is there.

        Raises:
            CellFailure: it cannot be written, or the archive has another account's files.
        """
        file = fetched.file
        manifest = Manifest(
            request=fetched.request,
            span=fetched.span,
            obtained=fetched.obtained,
            columns=fetched.columns,
            lane=lane.key,
            backfill=lane.backfill or fetched.request.key in lane.gaps,
            headers=tuple(read_header(file.path)[0]),
            path=file.archive_path or "",
            bytes=file.bytes,
            sha256=file.sha256,
            archived_at=datetime.now(timezone.utc),
            package_version=_package_version(),
        )
        try:
            self._note_account(manifest)
            self.archive.note(manifest, json.dumps(manifest.to_json(), indent=1, ensure_ascii=False).encode())
        except (ArchiveError, ConfigurationError) as error:
            raise CellFailure(error, fetched.obtained) from error

    def _note_account(self, manifest: Manifest) -> None:
        """Note by which run the label is known, before its first manifest is there; and now and then a newer one."""
        mode = manifest.request.report.offered.livemode
        known, run = self._prove(mode), manifest.run
        if known is None or run.created - known.created >= OLD:
            noted = AccountRun(self._label, mode, run.id, run.created)
            self.archive.note_account(noted)
            try:
                self._refuse_others(mode, own=noted, all_=known is None)  # another load may have begun at once
            except ConfigurationError:
                self.archive.forget_account(noted)
                raise
            self._proven[mode] = noted

    def _prove(self, livemode: bool) -> AccountRun | None:
        """The newest run that the archive notes of the label and mode, which the key's account knows."""
        if livemode not in self._proven:
            self._proven[livemode] = self._refuse_others(livemode)
        return self._proven[livemode]

    def _refuse_others(self, livemode: bool, own: AccountRun | None = None, all_: bool = False) -> AccountRun | None:
        """The newest run that the archive notes; `own` needs no proof.

        A newer one is noted only when the last is `OLD`: those that are closer together may be of several accounts,
        whose loads have begun at once. Unless it has to be `all_`, older ones are not asked for.
        """
        found = self.archive.account_runs(self._label, livemode)
        for each in found if self._account is None else ():
            is_recent = all_ or found[0].created - each.created < OLD
            if is_recent and each != own and not self._knows(each.run_id):
                raise ConfigurationError(
                    f"account {self._label!r}: the archive {self.archive.shown} holds another Stripe account's files "
                    f"under this label; api_key's account does not know their report run {each.run_id}. Set the other "
                    "account's key, another account label, or another archive_url."
                )
        return next(iter(found), None)


def _package_version() -> str:
    try:
        return version("stripe-reports-source")
    except PackageNotFoundError:  # used from a folder, without being installed
        return "unknown"
