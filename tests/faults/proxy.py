"""A way to PostgreSQL that is cut just after a COMMIT has arrived there, and before its answer is back."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

SOCKET = ".s.PGSQL.5432"
READY = b"Z\x00\x00\x00\x05"
"""How the server's `ReadyForQuery` begins, which ends its answer to a simple query."""


class CommitProxy:
    """Passes everything on, but for the answer to the `nth` COMMIT after `cut_at`: then both ends are closed."""

    def __init__(self, server: Path, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self._lock = threading.Lock()
        self._left = 0
        self._rows = re.compile(b"")
        self.cuts = 0

    def cut_at(self, nth: int, table: str = "") -> None:
        """Lose the answer to the nth COMMIT from now, counted from 1; 0 loses none.

        Args:
            nth: which one.
            table: count only those on a connection that has written rows into this table, in whichever dataset.
        """
        with self._lock:
            self._left = nth
            self._rows = re.compile(rb'(COPY|INSERT INTO) [^(]*"%b"' % table.encode() if table else b"")

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server / SOCKET))
                deaf = threading.Event()
                for source, target in ((client, server), (server, client)):
                    to_server = target is server
                    arguments = (source, target, deaf, to_server)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, deaf: threading.Event, to_server: bool) -> None:
        has_rows = False
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                has_rows = has_rows or bool(to_server and self._rows.search(data))
                if has_rows and b"COMMIT" in data[:32] and self._is_the_one():
                    deaf.set()
                if to_server or not deaf.is_set():
                    target.sendall(data)
                elif READY in data:
                    break  # the server has done it
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _is_the_one(self) -> bool:
        with self._lock:
            self._left -= 1
            self.cuts += self._left == 0
            return self._left == 0


@contextmanager
def commit_proxy(address: str, folder: Path) -> Iterator[tuple[CommitProxy, str]]:
    """A proxy before a server that listens on a socket in a folder.

    Args:
        address: of the server: `postgresql://user:password@folder:5432/database`.
        folder: for the proxy's socket; its path must be short.

    Returns:
        The proxy, and the address to use instead.
    """
    host = address.split("@")[1].split(":")[0]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen(50)
        proxy = CommitProxy(Path(unquote(host)), listener)
        threading.Thread(target=proxy.serve, daemon=True).start()
        yield proxy, address.replace(host, quote(str(folder), safe=""))
        listener.shutdown(socket.SHUT_RDWR)
