"""A file host of a test's own, which holds the bytes of one file back until the test lets them go on."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dlt import Pipeline

from stripe_reports_source.emulator import Emulator
from stripe_reports_source.emulator.runs import Run
from tests.conftest import until

ACTIVITY = "balance_change_from_activity.itemized"
JANUARY = 1_735_689_600
"""2025-01-01 UTC."""


@dataclass(frozen=True)
class Reply:
    """An answer, step by step: bytes are sent, all else is called. One that ends before `length` bytes is cut."""

    steps: Sequence[bytes | Callable[[], object]]
    length: int
    begin: int = 0
    etag: str = '"1"'


MakeReply = Callable[[bytes], Reply]


def whole(content: bytes) -> Reply:
    """A file as it is."""
    return Reply([content], len(content), etag='"whole"')


@dataclass
class FileHost:
    """Sends an emulator's files.

    Args:
        report: one of its files, the first one of January that is asked for, is sent as `replies` say, then whole.
        replies: made of the file's content.
        others: what all other files are sent as.
    """

    report: str
    replies: Sequence[MakeReply]
    others: MakeReply
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)
    """What was asked for of that file."""
    errors: list[BaseException] = field(default_factory=list)
    _file: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reply_to(self, run: Run, asked: str | None) -> MakeReply:
        """How to answer a request for a part of a run's file."""
        with self._lock:
            of_january = run.report_type.startswith(self.report) and run.parameters["interval_start"] == JANUARY
            if self._file is None and of_january:
                self._file = run.file_id
            if self._file != run.file_id:
                return self.others
            self.ranges.append(asked)
            return [*self.replies, whole][min(len(self.ranges), len(self.replies) + 1) - 1]


@contextmanager
def file_host(
    emulator: Emulator, *replies: MakeReply, report: str = ACTIVITY, others: MakeReply = whole
) -> Iterator[FileHost]:
    """Serve an emulator's files while the context is open. An error in a step is raised at its end."""
    host = FileHost(report, replies, others)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            run = next(run for run in emulator.runs if run.file_id == re.split("/", self.path)[3])
            self.answer(host.reply_to(run, self.headers.get("Range"))(run.file.read_bytes()))

        def answer(self, reply: Reply) -> None:
            self.send_response(206 if reply.begin else 200)
            self.send_header("Content-Length", str(reply.length - reply.begin))
            self.send_header("ETag", reply.etag)
            if reply.begin:
                self.send_header("Content-Range", f"bytes {reply.begin}-{reply.length - 1}/{reply.length}")
            self.end_headers()
            self.close_connection = True
            try:
                for step in reply.steps:
                    if isinstance(step, bytes):
                        self.wfile.write(step)
                        self.wfile.flush()
                    else:
                        step()
            except OSError:
                pass  # whoever asked has gone
            except BaseException as error:
                host.errors.append(error)

        def log_message(self, format: str, *values: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host.url = emulator.service.files_url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
    for error in host.errors:
        raise error


class Folder:
    """The folder of a sync, as one sees it from outside: what is written of our own files."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._parent = Path(pipeline.working_dir) / "stripe_result_files"
        self.written: set[int] = set()
        """The files that had rows when one looked, as the file system knows them whatever their name."""

    def rows_are_parsed(self) -> None:
        """Wait until there are rows in a file of our own."""
        until(lambda: bool(self._with_rows()))
        for path in self._with_rows():
            number = path.stat().st_ino
            os.link(path, f"seen-{number}")  # so that no other file gets its number, once it is removed
            self.written.add(number)

    def is_given_up(self) -> None:
        """Wait until there is no such file."""
        until(lambda: not list(self._parent.glob("*/*.parquet")))

    @property
    def empty(self) -> bool:
        """True when nothing is left."""
        return not list(self._parent.glob("*"))

    def opened(self) -> list[str]:
        """The result files that this process has open, each as often as it is."""
        links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
        names = [os.readlink(link).removesuffix(" (deleted)") for link in links if link.is_symlink()]
        return [name for name in names if name.startswith(str(self._parent)) and name.endswith(".csv")]

    def _with_rows(self) -> list[Path]:
        return [path for path in self._parent.glob("*/*.parquet") if path.stat().st_size > len(b"PAR1")]
