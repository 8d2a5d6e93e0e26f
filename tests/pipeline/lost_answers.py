"""A door to PostgreSQL that loses the answer to one COMMIT: what was asked is done, and the client is not told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from tests.pipeline.relayed import accepted

SOCKET = ".s.PGSQL.5432"


class LostAnswers:
    """Relays connections; loses the first answer to a COMMIT that follows a COPY into a table."""

    def __init__(self, server: Path, table: str) -> None:
        self._server = server
        self._mark = f'"{table}"'.encode()
        self._lock = threading.Lock()
        self.lost = 0

    def serve(self, listener: socket.socket) -> None:
        """Relay until the listener is closed."""
        for client in accepted(listener):
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(str(self._server / SOCKET))
            fatal = threading.Event()
            threading.Thread(target=self._up, args=(client, upstream, fatal), daemon=True).start()
            threading.Thread(target=self._down, args=(upstream, client, fatal), daemon=True).start()

    def _up(self, client: socket.socket, upstream: socket.socket, fatal: threading.Event) -> None:
        copied = False
        while data := _received(client):
            copied = copied or (b"COPY " in data and self._mark in data)
            if copied and b"COMMIT" in data:
                with self._lock:
                    if not self.lost:
                        self.lost += 1
                        fatal.set()
            upstream.sendall(data)
        _shut(upstream)

    def _down(self, upstream: socket.socket, client: socket.socket, fatal: threading.Event) -> None:
        while data := _received(upstream):
            if fatal.is_set():  # the server has committed: this is its answer
                break
            client.sendall(data)
        _shut(upstream)
        _shut(client)


@contextmanager
def losing_answers(address: str, folder: Path, table: str) -> Iterator[tuple[str, LostAnswers]]:
    """An address that leads to the server of another one, through a door in a folder.

    Gives:
        The address, and the door, which counts.
    """
    server = unquote(address.split("@")[1].split(":")[0])
    door = LostAnswers(Path(server), table)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen(50)
        threading.Thread(target=door.serve, args=(listener,), daemon=True).start()
        yield address.replace(quote(server, safe=""), quote(str(folder), safe="")), door
        listener.shutdown(socket.SHUT_RDWR)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
