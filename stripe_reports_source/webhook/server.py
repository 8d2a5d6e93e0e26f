"""The server of the command line: uvicorn with bounded connections and a clean end on SIGTERM.

In: a receiver and an address. Out: nothing, once it is told to stop. Each connection serves a single request and lives
for a bounded time, so that a flood of them holds no more than a bounded number of sockets and buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import ConfigurationError
from .limits import Connections
from .receiver import GRACE_SECONDS, WebhookReceiver

logger = logging.getLogger(__name__)

STOPPED_AT_ONCE = 130


class _Config(uvicorn.Config):
    """A configuration that also says what connections may cost."""

    connections: Connections


class _BoundedProtocol(H11Protocol):
    """Drops connections above the bound, and those that take too long, whatever they do: uvicorn bounds neither."""

    config: _Config

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        bounds = self.config.connections
        if len(self.connections) >= bounds.at_most:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._end_of_life = asyncio.get_running_loop().call_later(bounds.seconds, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        end_of_life = getattr(self, "_end_of_life", None)
        if end_of_life is not None:
            end_of_life.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """A server that leaves signals to `serve`, which needs them before and after it too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_config(receiver: WebhookReceiver, connections: Connections | None = None) -> uvicorn.Config:
    """How a receiver's app is served: every cost of a connection is bounded."""
    connections = connections or Connections()
    config = _Config(
        receiver.app,
        http=_BoundedProtocol,
        ws="none",
        lifespan="off",  # started and stopped here, with a bounded wait
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("Connection", "close")],
        backlog=connections.at_most,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=connections.header_bytes,
    )
    config.connections = connections
    return config


def serve(receiver: WebhookReceiver, host: str, port: int, into: str) -> None:
    """Serve until SIGTERM or SIGINT; `into` is where it loads to, in words.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    config = server_config(receiver)
    server = _Server(config)

    def stop(number: int, frame: FrameType | None) -> None:
        if server.should_exit:
            os._exit(STOPPED_AT_ONCE)
        server.should_exit = True
        # at once, so that the load winds down while the last answers are given
        receiver.ask_to_stop()

    with _signals_go_to(stop):
        with _listening(host, port, config.backlog, into) as listener:
            receiver.start()
            server.run(sockets=[listener])
        stopped = receiver.stop()
    if not stopped:
        # a package takes longer than the grace: the next start takes up what is left of it, as after a crash
        logger.warning("stopped in the middle of a load", extra={"grace_seconds": GRACE_SECONDS})
        logging.shutdown()
        os._exit(0)
    logger.info("stopped")


@contextlib.contextmanager
def _signals_go_to(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


def _listening(host: str, port: int, backlog: int, into: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while")[0]  # Python repeats the address
        raise ConfigurationError(f"cannot listen on {host}:{port} ({why}); set another address.") from None
    taken = listener.getsockname()
    shown = f"[{taken[0]}]" if family == socket.AF_INET6 else taken[0]
    logger.info("listening", extra={"url": f"http://{shown}:{taken[1]}/webhook", "into": into})
    return listener
