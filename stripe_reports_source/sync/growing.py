"""Result files that can be read while they are still on their way to this disk.

In: what a download says of its bytes. Out: readers, which wait for bytes that are not there yet. What they read may
turn out to be wrong until the download has ended: a file that begins anew, or ends in any other way than whole, is
given up for good, and whoever reads it is told so instead of being given more.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..plan.cells import FetchedCell
from ..plan.columns import TableColumn


class GivenUp(Exception):
    """Ends the reading of a file that is not, or need not be, brought to its end."""


class GrowingFile:
    """A file that a download writes. `path` is where; all methods may be called from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed = threading.Condition()
        self._bytes = 0
        self._ended = False
        self._given_up = False

    @property
    def bytes(self) -> int:
        """How many are there to be read."""
        return self._bytes

    @property
    def given_up(self) -> bool:
        """True when what was read of it must not be used."""
        return self._given_up

    def grown(self, bytes_: int) -> None:
        """So many bytes are there to be read; fewer than before where the download begins anew."""
        with self._changed:
            self._given_up |= bytes_ < self._bytes
            self._bytes = bytes_
            self._changed.notify_all()

    def end(self, *, whole: bool) -> None:
        """The download has come to its end: no more bytes come."""
        with self._changed:
            self._ended = True
            self._given_up |= not whole
            self._changed.notify_all()

    def give_up(self) -> None:
        """Let nobody wait for it or use it."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()

    def open(self) -> io.FileIO:
        """A reader from the first byte on, which gives as many bytes as it is asked for or all that is left.

        Its `read` raises `GivenUp`.
        """
        return _Reader(self)

    def wait_for(self, bytes_: int) -> None:
        """Wait until so many bytes are there, or the file is whole.

        Raises:
            GivenUp: it will not be.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._given_up or self._ended or self._bytes >= bytes_)
            if self._given_up:
                raise GivenUp


class _Reader(io.FileIO):
    def __init__(self, growing: GrowingFile) -> None:
        super().__init__(growing.path, "rb")
        self._growing = growing

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise io.UnsupportedOperation("a growing file is read in parts")
        end = self.tell() + size
        self._growing.wait_for(end)
        found = super().read(size)
        self._growing.wait_for(end)  # bytes of two downloads are never taken for those of one
        return found or b""


@dataclass(frozen=True, eq=False)
class Arriving:
    """A cell whose file is on its way.

    Args:
        cell: as it will be, but for its columns and the hash of its file.
        file: its file.
        columns: gives the columns, once the header is there. Raises RowError where the file has others than it must.
    """

    cell: FetchedCell
    file: GrowingFile
    columns: Callable[[], tuple[TableColumn, ...]]


class Arrivals:
    """The cells of a sync that are arriving in files of at least `least_bytes`; safe from several threads."""

    def __init__(self, least_bytes: int) -> None:
        self._least_bytes = least_bytes
        self._lock = threading.Lock()
        self._arriving: list[Arriving] = []

    def of(self, table: str) -> list[Arriving]:
        """Those of a table, the one that began to arrive first before the others."""
        with self._lock:
            return [each for each in self._arriving if each.cell.request.report.report.table == table]

    @contextmanager
    def announce(
        self, cell: FetchedCell, columns: Callable[[], tuple[TableColumn, ...]]
    ) -> Iterator[Callable[[int], None] | None]:
        """While a cell's file is downloaded: gives what is to be told of its bytes; None for a small file.

        The file is whole where the block ends without an error.
        """
        if cell.file.bytes < self._least_bytes:
            yield None
            return
        arriving = Arriving(cell, GrowingFile(cell.file.path), columns)
        with self._lock:
            self._arriving.append(arriving)
        whole = False
        try:
            yield arriving.file.grown
            whole = True
        finally:
            arriving.file.end(whole=whole)
            with self._lock:
                self._arriving.remove(arriving)
