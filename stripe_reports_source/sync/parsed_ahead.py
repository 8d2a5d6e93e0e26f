"""A large cell that is parsed into a file of our own while its result file still arrives.

In: a cell that is arriving. Out: a Parquet file as `ArrivedCell` would write it, or nothing. Nothing of it is given to
dlt before the download has said that the result file is whole; whatever goes wrong before, or in parsing, is not said
here: the cell is parsed then as if this had not been tried, and that says it.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from ..plan.cells import CellRequest, FetchedCell
from ..plan.columns import TableColumn
from ..plan.settings import ParsePolicy
from ..rows.cell_tables import cell_tables
from ..rows.control_sums import ControlSums
from ..rows.parquet_file import ParquetFile
from .ahead import one_ahead
from .growing import Arriving, GivenUp

logger = logging.getLogger(__name__)


class ParsedAhead:
    """See the module. It is at work, in a thread, as soon as it is made; `close` ends it and removes its file.

    The thread waits for bytes alone, which a download brings or ends. Nobody waits for the thread before the download
    has ended, or the file has been given up.

    Args:
        arriving: the cell.
        columns: of its file.
        order: of the columns in the Parquet file.
        load_id: of the load package that it is for.
        policy: how much is in memory at once.
        folder: where the Parquet file goes.
    """

    def __init__(
        self,
        arriving: Arriving,
        columns: tuple[TableColumn, ...],
        order: Sequence[str],
        load_id: str | None,
        policy: ParsePolicy,
        folder: Path,
    ) -> None:
        self.sums = ControlSums(columns)
        self.file = ParquetFile(folder / f"{uuid.uuid4().hex}.parquet", order)
        self._cell = replace(arriving.cell, columns=columns)
        self._growing = arriving.file
        self._order = list(order)
        self._load_id = load_id
        self._policy = policy
        self._written = False
        self._steps: SimpleQueue[bool] = SimpleQueue()
        """True for each table that is written, False at the end."""
        self.closed = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="stripe-reports-ahead")
        self._thread.start()

    @property
    def request(self) -> CellRequest:
        """The cell."""
        return self._cell.request

    def is_of(self, fetched: FetchedCell, order: Sequence[str]) -> bool:
        """True if it is of the very file of a fetched cell, and as that is to be loaded."""
        same = replace(self._cell, file=fetched.file) == fetched and self._cell.request is fetched.request
        return same and self._cell.file.path == fetched.file.path and self._order == list(order)

    def steps(self) -> Iterator[None]:
        """Wait for the end, table by table; for a cell whose download has ended."""
        while self._steps.get():
            yield None

    @property
    def whole(self) -> bool:
        """True at the end, if all rows are in the file and the result file has not been given up."""
        return self._written and not self._growing.given_up

    def close(self) -> None:
        """End the work, which may take as long as a table takes, and remove the file. May be called several times."""
        self._growing.give_up()
        self._thread.join()
        self.file.path.unlink(missing_ok=True)
        self.closed = True

    def _run(self) -> None:
        try:
            self._write()
            self._written = True
        except GivenUp:
            pass
        except Exception as error:  # of whatever kind: it comes again where the cell is parsed as a whole file
            logger.info("%s: not parsed ahead (%s)", self._cell.request.title, type(error).__name__)
        finally:
            if not self._written:
                self.file.path.unlink(missing_ok=True)
            self._steps.put(False)

    def _write(self) -> None:
        tables = cell_tables(
            self._cell, self._load_id, self._policy, self.sums, ahead=one_ahead, opened=self._growing.open
        )
        with self.file as file, closing(tables), closing(one_ahead(tables)) as coming:
            for table in coming:
                file.add(table)
                self._steps.put(True)
