"""The answer to a request for a result file: whole or a range of it, and what can be wrong with it.

In: a file, the headers of the request, a fault. Out: a response. Stripe's file host is not documented in this detail;
ranges, `ETag` and `If-Range` are as RFC 9110 has them.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from starlette.responses import Response, StreamingResponse

from .faults import Fault

_CHUNK = 1 << 18
_TYPE = "text/csv"


class ConnectionCut(Exception):
    """Makes the server close the connection instead of finishing an answer."""


def file_response(content: Path, asked: Mapping[str, str], fault: Fault | None) -> Response:
    """The answer.

    Args:
        content: the file.
        asked: the request's headers, by name in lower case.
        fault: what is wrong with the answer.
    """
    action = fault.action if fault is not None else None
    if fault is not None and action == "replace":
        return Response(fault.body.encode(), media_type=_TYPE)
    size = content.stat().st_size - (fault.bytes if fault is not None and action == "wrong_length" else 0)
    headers = {"Accept-Ranges": "bytes", "ETag": _etag(content, renewed=action == "new_etag")}
    start, end, status = 0, size, 200
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("range", ""))
    if wanted and action != "ignore_range" and asked.get("if-range") in (None, headers["ETag"]):
        start, status = int(wanted[1]), 206
        if start >= size:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        end = min(size, int(wanted[2]) + 1) if wanted[2] else size
        if fault is not None and action == "shift_range":
            start, end = max(0, start - fault.bytes), end - fault.bytes
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if action == "compress":
        with content.open("rb") as file:
            file.seek(start)
            packed = gzip.compress(file.read(end - start))
        return Response(packed, status, {**headers, "Content-Encoding": "gzip"}, media_type=_TYPE)
    headers["Content-Length"] = str(end - start)
    stop = min(end, start + fault.bytes) if fault is not None and action == "truncate" else end
    return StreamingResponse(_part(content, start, stop, whole=stop == end), status, headers, media_type=_TYPE)


async def cut(part: bytes) -> AsyncIterator[bytes]:
    """A body that ends too early, with its connection."""
    if part:
        yield part
    raise ConnectionCut


async def _part(content: Path, start: int, stop: int, *, whole: bool) -> AsyncIterator[bytes]:
    with content.open("rb") as file:
        file.seek(start)
        left = stop - start
        while left > 0:
            chunk = file.read(min(_CHUNK, left))
            left -= len(chunk)
            yield chunk
    if not whole:
        raise ConnectionCut


def _etag(content: Path, *, renewed: bool) -> str:
    found = content.stat()
    return f'"{found.st_size:x}-{found.st_mtime_ns:x}{os.urandom(4).hex() if renewed else ""}"'
