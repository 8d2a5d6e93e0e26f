"""A result file on its way to this disk.

In: what Stripe says of the file, and answers with its bytes. Out: a file of exactly the announced size, and its hash.
Two versions of a file are never mixed: a transfer goes on only where the answer says that it does, for the same file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import requests
import urllib3

from ..errors import DownloadError, StripeError, UnusableFile
from ..plan.addresses import Address
from ..plan.cells import Downloaded
from ..plan.stripe_objects import ResultFile
from .connection import CHUNK, Connection

_DECODED_CHUNK = 1 << 16
_SMALL = 1 << 18
"""Bytes up to which a hash costs less than a thread for it."""
_DECODABLE = frozenset(urllib3.response.HTTPResponse.CONTENT_DECODERS)
_WRONG_SIZES_AT_MOST = 2
"""Whole answers of a wrong size that are needed to believe them: the first one may be a cache's."""


class FileDownload:
    """The transfer of one file, in as many requests as it takes."""

    def __init__(self, connection: Connection, file: ResultFile, address: Address, account: str | None) -> None:
        self._connection = connection
        self._retry = connection.retry
        self._file = file
        self._address = address
        self._account = account
        self._late = connection.clock() + self._retry.transfer_timeout
        self._etag: str | None = None
        self._ranges = True
        self._encoded = False
        self._wrong_sizes = 0

    def to(self, target: Path, on_bytes: Callable[[int], None] | None = None) -> Downloaded:
        """Bring the file to `target`. `on_bytes`: see `StripeApi.download`.

        Raises:
            UnusableFile: it is gone, or has another size than Stripe announced.
            DownloadError: it did not come whole for another reason, which another report run would not mend.
        """
        # hashing a large file takes as long as all the rest, so it is done beside it, one chunk behind
        with (
            open(target, "wb", opener=_for_its_owner) as out,
            ThreadPoolExecutor(1, thread_name_prefix="stripe-reports-hash") as hashing,
        ):
            arrived = _Arrived(out, hashing, on_bytes)
            fruitless = furthest = 0
            while (problem := self._attempt(arrived)) is not None:
                fruitless = 0 if arrived.bytes >= furthest + CHUNK else fruitless + 1
                furthest = max(furthest, arrived.bytes)
                if self._wrong_sizes >= _WRONG_SIZES_AT_MOST:
                    raise UnusableFile(problem)
                if fruitless >= self._retry.attempts or self._connection.clock() > self._late:
                    raise DownloadError(f"{problem} Check the network and proxies.")
                self._connection.pause(fruitless)
            return Downloaded(target, arrived.bytes, arrived.sha256())

    def _attempt(self, arrived: _Arrived) -> str | None:
        """Ask for what is missing. None when all is there, else the sentence that says what is wrong."""
        # identity: the announced size counts the bytes of the file, not of a compressed transfer
        headers = {"Accept-Encoding": "identity"}
        if self._wrong_sizes:
            headers["Cache-Control"] = "no-cache"
        if self._encoded or not self._ranges:
            # a part of a file is not a part of what was compressed on the way
            arrived.begin_anew()
        arrived.new = 0
        if arrived.bytes:
            headers["Range"] = f"bytes={arrived.bytes}-"
            if self._etag:
                headers["If-Range"] = self._etag
        with self._connection.send("GET", self._address, self._account, headers=headers) as response:
            if arrived.bytes and response.status_code == 416:
                return self._wrong_size(arrived, "no more")
            try:
                self._connection.raise_for_error(response)
            except StripeError as error:
                if error.http_status in (404, 410):
                    raise UnusableFile(f"result file {self._file.id} is gone (HTTP {error.http_status}).") from None
                raise
            return self._begin(response, arrived) or self._read(response, arrived)

    def _begin(self, response: requests.Response, arrived: _Arrived) -> str | None:
        """Decide whether the body is the file's, and what of it. None if it is to be read."""
        encodings = _list_of(response.headers.get("Content-Encoding"))
        etag = _strong(response.headers.get("ETag"))
        if not _DECODABLE.issuperset(encodings):
            return f"result file {self._file.id} came encoded as {', '.join(encodings)}, which was not asked for."
        if response.headers.get("Content-Type", "").strip().lower().startswith("text/html"):
            return f"result file {self._file.id} came as a web page, not as Stripe's file."
        if response.status_code == 206:
            other = None not in (etag, self._etag) and etag != self._etag
            if other or encodings or not self._goes_on(response.headers.get("Content-Range"), arrived.bytes):
                self._ranges = False
                return f"result file {self._file.id} was resumed with other bytes than were asked for."
            return None
        if response.status_code != 200:
            return f"result file {self._file.id} came with HTTP {response.status_code}."
        arrived.begin_anew()
        self._etag = etag
        self._encoded = bool(encodings)
        if encodings:
            response.raw.headers["Content-Encoding"] = ", ".join(encodings)
        return None

    def _goes_on(self, content_range: str | None, start: int) -> bool:
        """True if a partial answer begins where the last one stopped, in a file of the announced size."""
        match = re.fullmatch(r"bytes\s+([0-9]+)-([0-9]+)/([0-9]+|\*)", (content_range or "").strip(), re.IGNORECASE)
        if match is None or start == 0 or int(match[1]) != start:
            return False
        return int(match[2]) < self._file.size and match[3] in ("*", str(self._file.size))

    def _read(self, response: requests.Response, arrived: _Arrived) -> str | None:
        """Take in a body. None when the file is whole."""
        whole = response.status_code == 200
        size = _DECODED_CHUNK if self._encoded else CHUNK
        clock = self._connection.clock
        mark, bytes_at_mark = clock(), 0
        try:
            # read1 gives what has arrived; read would lose it when the connection breaks
            while chunk := response.raw.read1(size, decode_content=self._encoded):
                arrived.add(chunk)
                self._connection.go_on()
                if arrived.bytes > self._file.size and not self._encoded:
                    return self._wrong_size(arrived, f"over {arrived.bytes}")
                if arrived.bytes > self._file.size:
                    return self._unfinished(arrived, "and more, decoded from what came compressed")
                now = clock()
                if now > self._late:
                    return self._unfinished(arrived, f"in {self._retry.transfer_timeout:g} s")
                if now - mark >= self._retry.read_timeout:
                    if arrived.new - bytes_at_mark < self._retry.least_rate * (now - mark):
                        return self._unfinished(arrived, f"at less than {self._retry.least_rate:g} bytes a second")
                    mark, bytes_at_mark = now, arrived.new
        except urllib3.exceptions.HTTPError as failure:
            return self._unfinished(arrived, f"before the transfer broke ({type(failure).__name__})")
        if arrived.bytes == self._file.size:
            return None
        # an answer that says where it ends and has ended there is whole; any other one may have been cut
        framed = "Content-Length" in response.headers or response.raw.chunked
        if whole and framed and not self._encoded:
            return self._wrong_size(arrived, str(arrived.bytes))
        return self._unfinished(arrived, "before the transfer ended")

    def _unfinished(self, arrived: _Arrived, how: str) -> str:
        return f"result file {self._file.id} has {self._file.size} bytes at Stripe, {arrived.bytes} arrived {how}."

    def _wrong_size(self, arrived: _Arrived, found: str) -> str:
        self._wrong_sizes += 1
        bytes_before = arrived.bytes
        arrived.begin_anew()
        found = f"{bytes_before} and {found}" if found == "no more" else found
        return f"result file {self._file.id} has {self._file.size} bytes at Stripe, {found} arrived."


class _Arrived:
    """The bytes that have arrived, on disk and in a hash. `new` counts those of the present attempt."""

    def __init__(self, out: BinaryIO, hashing: Executor, on_bytes: Callable[[int], None] | None) -> None:
        self._out = out
        self._on_bytes = on_bytes
        self._hashing = hashing
        self.new = 0
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._hashed: Future[None] | None = None

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._out.write(chunk)
        self._wait()
        self.bytes += len(chunk)
        if self.bytes <= _SMALL:
            self._digest.update(chunk)
        else:
            self._hashed = self._hashing.submit(self._digest.update, chunk)
        self.new += len(chunk)
        if self._on_bytes is not None:
            self._out.flush()
            self._on_bytes(self.bytes)

    def begin_anew(self) -> None:
        """Forget all bytes."""
        if self._on_bytes is not None:
            self._on_bytes(0)
        self._out.seek(0)
        self._out.truncate()
        self.bytes = 0
        self._digest = hashlib.sha256()

    def sha256(self) -> str:
        """The hash of all bytes, in hexadecimal digits."""
        self._wait()
        return self._digest.hexdigest()

    def _wait(self) -> None:
        """Until what arrived before is hashed."""
        if self._hashed is not None:
            self._hashed.result()
            self._hashed = None


def _list_of(value: str | None) -> tuple[str, ...]:
    """The members of a header's list of encodings, but for `identity`: case and white space say nothing in HTTP."""
    members = (member.strip().lower() for member in (value or "").split(","))
    return tuple(member for member in members if member not in ("", "identity"))


def _strong(etag: str | None) -> str | None:
    """An entity tag that stands for exact bytes (RFC 9110, 8.8.1); None for a weak one or none."""
    value = (etag or "").strip()
    return value if re.fullmatch(r'"[\x21\x23-\x7e]*"', value) else None


def _for_its_owner(path: str, flags: int) -> int:
    """Open a file that holds customers' rows: no one but its owner may read it."""
    return os.open(path, flags, 0o600)
