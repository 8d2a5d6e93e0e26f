"""The receiver over HTTP, as the command line serves it: statuses, bounds, floods."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from dlt import Pipeline
from starlette.applications import Starlette
from starlette.routing import Mount

from stripe_reports_source import stripe_reports
from stripe_reports_source.emulator import Emulator, sign
from stripe_reports_source.webhook import Limits, WebhookReceiver
from stripe_reports_source.webhook.limits import Connections
from tests.conftest import source_of
from tests.webhook.served import PATIENCE, SECRET, body_of, event_of, get, post, served, served_app, until

Serve = Callable[..., tuple[WebhookReceiver, str]]


@pytest.fixture
def serve(emulator: Emulator, pipeline: Pipeline) -> Iterator[Serve]:
    """Serve a receiver whose worker is not started: what comes stays in the inbox."""
    with ExitStack() as stack:

        def start(connections: Connections | None = None, **limits: Any) -> tuple[WebhookReceiver, str]:
            receiver = WebhookReceiver(
                pipeline, source_of(emulator, ["balance.summary"]), [SECRET], limits=Limits(**limits)
            )
            return receiver, stack.enter_context(served(receiver, connections))

        yield start


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), PATIENCE)


def status_of(connection: socket.socket) -> int:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status


def outcomes(receiver: WebhookReceiver) -> dict[str, int]:
    lines = [line for line in receiver.metrics_text().splitlines() if "deliveries_total{" in line]
    return {line.split('"')[1]: int(line.rsplit(" ", 1)[1]) for line in lines}


def test_an_event_is_answered_once_it_is_on_disk(serve: Serve, pipeline: Pipeline) -> None:
    receiver, url = serve()
    body = body_of(event_of())
    assert [post(url, body), post(url, body), post(url.replace("/webhook", "/"), body)] == [200, 200, 200]
    file = sqlite3.connect(Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.webhooks.sqlite")
    assert file.execute("SELECT id, standing FROM events").fetchall() == [("evt_1", "waiting")]
    assert outcomes(receiver) == {"accepted": 1, "duplicate": 2}
    other = body_of(event_of("evt_2", "invoice.paid"))
    assert post(url, other) == 200
    assert receiver._inbox.counts()["waiting"] == 1


def test_what_is_not_from_stripe_is_400_and_leaves_nothing(serve: Serve) -> None:
    receiver, url = serve()
    body = body_of(event_of())
    assert post(url, body, "") == 400
    assert post(url, body, sign(body, "whsec_wrong")) == 400
    assert post(url, body, sign(body, SECRET, int(time.time()) - 3600)) == 400
    assert post(url, b"{not json") == 400
    assert post(url, b"") == 400
    assert outcomes(receiver) == {"bad_signature": 2, "too_old": 1, "malformed": 2}
    assert receiver._inbox.counts() == {"waiting": 0, "handled": 0, "ignored": 0}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_are_405(serve: Serve, method: str) -> None:
    assert post(serve()[1], b"", method=method) == 405


def test_other_paths_are_404(serve: Serve) -> None:
    assert post(serve()[1] + "/more", body_of(event_of())) == 404


@pytest.mark.parametrize("path", ["/webhook/", "/"])
def test_a_slash_at_the_end_is_not_redirected(serve: Serve, path: str) -> None:
    _, url = serve()
    assert post(url.replace("/webhook", path), body_of(event_of())) == 200
    assert [get(url, f"{name}/")[0] for name in ("/readyz", "/healthz", "/metrics")] == [404, 404, 404]


def test_an_inbox_that_is_removed_is_there_again_when_an_event_is_answered(serve: Serve) -> None:
    receiver, url = serve()
    path = receiver._inbox.path
    path.unlink()
    assert post(url, body_of(event_of())) == 200
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT id FROM events").fetchall() == [("evt_1",)]
    path.unlink()
    assert json.loads(get(url, "/readyz")[1])["inbox"]
    assert path.exists()


def test_thin_events_are_acknowledged_and_named_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    receiver, url = serve()
    kind = "v1.reporting.report_type.updated"
    for number in range(3):
        thin = {"id": f"evt_{number}", "object": "v2.core.event", "type": kind, "created": "2026-11-25T08:00:00.000Z"}
        assert post(url, body_of(thin)) == 200
    assert outcomes(receiver) == {"irrelevant": 3}
    assert receiver._inbox.counts() == {"waiting": 0, "handled": 0, "ignored": 0}
    assert [record.getMessage() for record in caplog.records if "thin" in record.getMessage()] == [
        "events are thin and lead to nothing: give the endpoint the payload style snapshot at Stripe"
    ]


def test_an_oversized_body_is_413_before_it_is_read(serve: Serve) -> None:
    receiver, url = serve(body_bytes=1000)
    with connect(url) as announced:
        announced.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        assert status_of(announced) == 413
    with connect(url) as chunked:
        chunked.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2):
            chunked.sendall(b"200\r\n" + b"x" * 0x200 + b"\r\n")
        assert status_of(chunked) == 413
    assert outcomes(receiver) == {"too_large": 2}
    body = body_of({**event_of(), "padding": ""})
    body = body_of({**event_of(), "padding": "x" * (1000 - len(body))})
    assert len(body) == 1000
    assert post(url, body) == 200


def test_a_slow_body_is_408(serve: Serve) -> None:
    receiver, url = serve(body_seconds=0.2)
    with connect(url) as slow:
        slow.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert status_of(slow) == 408
    assert outcomes(receiver) == {"too_slow": 1}


def test_a_sender_that_leaves_half_way_leaves_nothing(serve: Serve) -> None:
    _, url = serve(at_once=1)
    with connect(url) as gone:
        gone.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    until(lambda: post(url, body_of(event_of())) == 200)


def test_broken_http_is_400_and_endless_headers_are_cut(serve: Serve) -> None:
    _, url = serve()
    with connect(url) as broken:
        broken.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert status_of(broken) == 400
    with connect(url) as endless:
        endless.sendall(b"POST / HTTP/1.1\r\nX: " + b"x" * (2 * Connections().header_bytes))
        assert status_of(endless) == 400


def test_more_at_once_than_it_takes_is_503(serve: Serve) -> None:
    _, url = serve(at_once=1)
    body = body_of(event_of())
    with connect(url) as first:
        first.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body))
        first.sendall(b"Stripe-Signature: %b\r\n\r\n" % sign(body, SECRET).encode())
        until(lambda: post(url, body) == 503)
        assert get(url, "/healthz") == (200, "ok")
        first.sendall(body)
        assert status_of(first) == 200
    until(lambda: post(url, body) == 200)


def test_an_inbox_that_cannot_be_written_is_503(serve: Serve) -> None:
    receiver, url = serve()
    body = body_of(event_of())
    receiver._inbox.path.unlink()
    receiver._inbox.path.mkdir()
    assert post(url, body) == 503
    status, found = get(url, "/readyz")
    assert (status, json.loads(found)["inbox"]) == (503, False)
    assert get(url, "/metrics")[0] == 200
    receiver._inbox.path.rmdir()
    assert post(url, body) == 200
    assert outcomes(receiver) == {"not_kept": 1, "accepted": 1}


def test_an_inbox_that_hangs_is_503_in_time(serve: Serve) -> None:
    receiver, url = serve(keep_seconds=0.2)
    body = body_of(event_of())
    with closing(sqlite3.connect(receiver._inbox.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert post(url, body) == 503
    until(lambda: post(url, body) == 200)
    assert receiver._inbox.counts()["waiting"] == 1


def test_connections_are_bounded_in_number(serve: Serve) -> None:
    _, url = serve(Connections(at_most=5))
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(url)) for _ in range(20)]
        # a dropped connection can be read: it has ended
        until(lambda: len(select.select(silent, [], [], 0)[0]) == 15)
    until(lambda: posted(url) == 200)


def test_connections_are_bounded_in_time(serve: Serve) -> None:
    _, url = serve(Connections(seconds=0.3))
    with connect(url) as silent, connect(url) as endless:
        endless.sendall(b"POST /webhook HTTP/1.1\r\nHost:")
        until(lambda: len(select.select([silent, endless], [], [], 0)[0]) == 2)


def posted(url: str) -> int:
    try:
        return post(url, body_of(event_of()))
    except (ConnectionError, http.client.HTTPException):
        return 0


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def test_a_flood_is_answered_in_bounded_memory(serve: Serve) -> None:
    """Bodies of a megabyte, signed ill or too long, from many at once: each gets its status, and memory stays."""
    receiver, url = serve()
    large, too_large = b"x" * (1 << 20), b"x" * ((1 << 20) + 1)

    def flood(number: int) -> int:
        try:
            if number % 3 == 0:
                return post(url, body_of(event_of(f"evt_{number}")))
            return post(url, *((large, "t=1,v1=0") if number % 3 == 1 else (too_large,)))
        except ConnectionError:
            return 413 if number % 3 == 2 else 0  # the answer to an oversized body may be lost with the rest of it

    with ThreadPoolExecutor(40) as crowd:
        list(crowd.map(flood, range(60)))  # warm: buffers and threads are there
        before = resident_kb()
        statuses = Counter(crowd.map(flood, range(60, 660)))
    assert set(statuses) <= {200, 400, 413, 503}
    assert statuses[400] > 0
    assert statuses[413] > 0
    assert resident_kb() - before < 150_000, "600 MB were sent"
    assert receiver._inbox.counts()["waiting"] == outcomes(receiver)["accepted"] > 0
    assert get(url, "/healthz") == (200, "ok")


def test_ready_only_with_a_worker(serve: Serve) -> None:
    receiver, url = serve()
    assert get(url, "/readyz")[0] == 503
    receiver.start()
    assert json.loads(get(url, "/readyz")[1]) == {"inbox": True, "worker": True}
    assert receiver.stop()
    assert json.loads(get(url, "/readyz")[1]) == {"inbox": True, "worker": False}


def test_metrics_are_prometheus_text(serve: Serve) -> None:
    _, url = serve()
    post(url, body_of(event_of()))
    status, text = get(url, "/metrics")
    assert status == 200
    assert 'stripe_reports_webhook_deliveries_total{outcome="accepted"} 1' in text
    assert 'stripe_reports_webhook_hints{standing="waiting"} 1' in text


def test_mounted_in_another_app(emulator: Emulator, pipeline: Pipeline) -> None:
    receiver = WebhookReceiver(pipeline, source_of(emulator, ["balance.summary"]), [SECRET])
    outer = Starlette(routes=[Mount("/stripe", receiver.app)], lifespan=receiver.lifespan)
    outer.router.redirect_slashes = False  # as the README shows
    with served_app(outer) as url:
        for path in ("/stripe/webhook", "/stripe/webhook/", "/stripe/"):
            assert post(f"{url}{path}", body_of(event_of())) == 200
        assert [post(f"{url}{path}", body_of(event_of())) for path in ("/stripe", "/stripe/more/")] == [404, 404]
        assert get(url, "/stripe/readyz")[0] == 200
    assert not receiver.ready()["worker"]


def test_the_source_is_checked_at_once(pipeline: Pipeline) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        WebhookReceiver(pipeline, lambda: stripe_reports(timezone="nonsense", api_key="rk_test_1"), [SECRET])
