"""Receivers for tests: served on loopback as the command line serves them, and ways to talk to them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from stripe_reports_source.emulator import sign
from stripe_reports_source.webhook import WebhookReceiver
from stripe_reports_source.webhook.limits import Connections
from stripe_reports_source.webhook.server import server_config

SECRET = "whsec_of_tests"
PATIENCE = 60.0


def event_of(identity: str = "evt_1", kind: str = "reporting.report_type.updated", **changes: Any) -> dict[str, Any]:
    """An event about `balance.summary.1`, or about a run of it."""
    about: dict[str, Any] = {"id": "balance.summary.1", "object": "reporting.report_type"}
    if kind.startswith("reporting.report_run."):
        about = {"id": "frr_1", "object": "reporting.report_run", "report_type": "balance.summary.1"}
    event = {"id": identity, "object": "event", "type": kind, "created": 1_760_000_000, "livemode": True}
    return {**event, "data": {"object": about}, **changes}


def body_of(event: Any) -> bytes:
    """An event's body."""
    return json.dumps(event).encode()


@contextmanager
def served(receiver: WebhookReceiver, connections: Connections | None = None) -> Iterator[str]:
    """Serve a receiver's app; gives its address. The worker is not started."""
    with _serving(server_config(receiver, connections)) as url:
        yield f"{url}/webhook"


@contextmanager
def served_app(app: Any) -> Iterator[str]:
    """Serve any app, with its lifespan."""
    with _serving(uvicorn.Config(app, log_config=None, lifespan="on")) as url:
        yield url


@contextmanager
def _serving(config: uvicorn.Config) -> Iterator[str]:
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}"
    server.should_exit = True
    thread.join(PATIENCE)


def post(url: str, body: bytes, signature: str | None = None, method: str = "POST") -> int:
    """Send a body, signed well unless a signature is given; the status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    headers = {"Stripe-Signature": sign(body, SECRET) if signature is None else signature}
    connection.request(method, parts.path, body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def get(url: str, path: str) -> tuple[int, str]:
    """Status and body of another path of the same server."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait for something that must come true."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come true"
        time.sleep(0.01)
