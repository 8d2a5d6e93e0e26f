"""What doors between a client and a server have in common."""

from __future__ import annotations

import socket
from collections.abc import Iterator


def accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that are made, until the listener is closed."""
    while True:
        try:
            yield listener.accept()[0]
        except OSError:
            return
