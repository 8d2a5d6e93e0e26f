"""The manifest of a cell: what the archive says of a file, written before a row of it is loaded.

In: a fetched cell whose file is in the archive, and its lane. Out: a manifest in the archive. It is written when the
cell's turn has come, not when its file has: a file that is fetched ahead of a cell that then fails is not loaded, and a
replay must not load it either.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from ..errors import ArchiveError
from ..plan.cells import CellFailure, FetchedCell
from ..plan.lanes import Lane
from ..plan.manifest import Manifest
from ..rows.places import read_header
from ..stripe_api.archive import Archive


def note_cell(archive: Archive, fetched: FetchedCell, lane: Lane) -> None:
    """Write a cell's manifest, unless it is there.

    Raises:
        CellFailure: it cannot be written.
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
        archive.note(manifest, json.dumps(manifest.to_json(), indent=1, ensure_ascii=False).encode())
    except ArchiveError as error:
        raise CellFailure(error, fetched.obtained) from error


def _package_version() -> str:
    try:
        return version("stripe-reports-source")
    except PackageNotFoundError:  # used from a folder, without being installed
        return "unknown"
