"""Files that are read while they grow: who waits for what, and when nobody waits any more."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from stripe_reports_source.sync.growing import GivenUp, GrowingFile

Reads = Callable[[io.FileIO, int], "Future[bytes]"]


class Writer:
    """A download of a test's own."""

    def __init__(self, path: Path) -> None:
        self.growing = GrowingFile(path)
        self._file = path.open("wb", buffering=0)

    def add(self, part: bytes) -> None:
        self._file.write(part)
        self.growing.grown(self._file.tell())


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "x.csv")


@pytest.fixture
def reads(writer: Writer) -> Iterator[Reads]:
    """Begins to read in a thread, which no test leaves waiting."""
    with ThreadPoolExecutor(1) as thread:
        yield lambda file, size: thread.submit(file.read, size)
        writer.growing.give_up()


def test_what_is_there_is_read_at_once(writer: Writer) -> None:
    writer.add(b"abcdef")
    with writer.growing.open() as file:
        assert (file.read(2), file.read(4)) == (b"ab", b"cdef")


def test_a_reader_waits_until_all_that_it_wants_is_there(writer: Writer, reads: Reads) -> None:
    writer.add(b"ab")
    with writer.growing.open() as file:
        found = reads(file, 4)
        writer.add(b"c")
        assert not found.done()
        writer.add(b"def")
        assert (found.result(10), file.read(2)) == (b"abcd", b"ef")


def test_the_end_is_what_is_left(writer: Writer, reads: Reads) -> None:
    writer.add(b"ab")
    with writer.growing.open() as file:
        found = reads(file, 4)
        writer.growing.end(whole=True)
        assert (found.result(10), file.read(4)) == (b"ab", b"")
    assert not writer.growing.given_up


@pytest.mark.parametrize(
    "ends",
    [
        lambda growing: growing.grown(0),
        lambda growing: growing.grown(1),
        lambda growing: growing.end(whole=False),
        lambda growing: growing.give_up(),
    ],
    ids=["begins anew", "is cut off", "fails", "is not wanted"],
)
def test_a_reader_is_told_when_it_waits_in_vain(
    writer: Writer, reads: Reads, ends: Callable[[GrowingFile], None]
) -> None:
    writer.add(b"ab")
    with writer.growing.open() as file:
        found = reads(file, 4)
        ends(writer.growing)
        with pytest.raises(GivenUp):
            found.result(10)
        writer.add(b"abcdef")
        writer.growing.end(whole=True)
        with pytest.raises(GivenUp):  # also of bytes that are there
            file.read(1)
    assert writer.growing.given_up


def test_bytes_that_were_read_while_the_file_began_anew_are_not_given(writer: Writer) -> None:
    """The download says that it begins anew before it writes: whoever reads what it writes is told."""
    writer.add(b"abcd")
    asked = threading.Event()

    class Slow(GrowingFile):
        """Between a reader's question and its reading, the download begins anew."""

        def wait_for(self, bytes_: int) -> None:
            super().wait_for(bytes_)
            if not asked.is_set():
                asked.set()
                self.grown(0)

    slow = Slow(writer.growing.path)
    slow.grown(4)
    with slow.open() as file, pytest.raises(GivenUp):
        file.read(4)


def test_it_is_read_in_parts(writer: Writer) -> None:
    with writer.growing.open() as file, pytest.raises(io.UnsupportedOperation):
        file.read()
