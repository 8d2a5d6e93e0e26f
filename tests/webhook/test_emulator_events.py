"""The emulator's events: Stripe's shape, signatures that Stripe's library takes, trouble on order."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
import stripe

from stripe_reports_source.emulator import Emulator, Endpoint
from tests.webhook.served import SECRET, until


class Listener:
    """Takes what comes; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[bytes, str]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append((body, self.headers["Stripe-Signature"]))
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.server.shutdown()
    listening.server.server_close()


def genuine(body: bytes, signature: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body.decode(), signature, SECRET, 300)
    except stripe.SignatureVerificationError:
        return False
    return True


def test_events_of_new_data_and_of_runs(emulator: Emulator, listener: Listener) -> None:
    emulator.send_events(Endpoint(listener.url, SECRET))
    emulator.service.set_availability("balance.summary.1", end=emulator.settings.available_end + timedelta(days=1))
    until(lambda: len(listener.got) == 2)
    events = [stripe.Webhook.construct_event(body, signature, SECRET) for body, signature in listener.got]
    assert len({event.id for event in events}) == 2
    shown = emulator.service.get_type("balance.summary.1", True)
    for body, _ in listener.got:
        event = json.loads(body)
        assert (event["object"], event["type"]) == ("event", "reporting.report_type.updated")
        assert event["data"]["object"] == shown
    # a run ends by itself and tells so, without a poll
    start = int(emulator.settings.first_available.timestamp())
    data = {
        "report_type": "balance.summary.1",
        "parameters[interval_start]": start,
        "parameters[interval_end]": start + 86_400,
    }
    auth = (emulator.settings.live_keys[0], "")
    headers = {"Stripe-Account": "acct_x"}
    run = requests.post(
        f"{emulator.api_url}/v1/reporting/report_runs", data, auth=auth, headers=headers, timeout=30
    ).json()
    until(lambda: len(listener.got) == 3)
    event = json.loads(listener.got[-1][0])
    assert event["type"] == "reporting.report_run.succeeded"
    assert event["account"] == "acct_x"
    about = event["data"]["object"]
    assert (about["id"], about["status"], about["result"]["type"]) == (run["id"], "succeeded", "csv")


def test_trouble_on_order(emulator: Emulator, listener: Listener) -> None:
    control = emulator.control_url
    trouble = {
        "duplicates": 0.5,
        "reorder": True,
        "delay": [0, 0.05],
        "bad_signatures": 0.3,
        "old_timestamps": 0.3,
        "unsent": 0.2,
    }
    registered = requests.post(
        f"{control}/webhooks", json={"url": listener.url, "secret": SECRET, **trouble}, timeout=30
    )
    assert registered.status_code == 200
    sent = requests.post(f"{control}/events", json={"report_type": "balance.summary.1", "count": 100}, timeout=30)
    assert sent.json() == {"events": 200}
    until(lambda: requests.get(f"{control}/webhooks", timeout=30).json()["idle"])
    log = requests.get(f"{control}/webhooks", timeout=30).json()["deliveries"]
    kinds = Counter(delivery["spoiled"] for delivery in log)
    assert kinds.keys() == {None, "duplicate", "bad_signature", "old_timestamp"}
    assert 130 < kinds[None] < 190
    false = {delivery["event"] for delivery in log if delivery["spoiled"] in ("bad_signature", "old_timestamp")}
    found = {json.loads(body)["id"]: genuine(body, signature) for body, signature in listener.got}
    assert {identity for identity, signed in found.items() if not signed} == false
    assert len(listener.got) == len(log)
    order = [json.loads(body)["id"] for body, _ in listener.got]
    assert order != sorted(order, key=order.index) or len(set(order)) < len(order)


def test_what_is_refused_is_sent_again(emulator: Emulator, listener: Listener) -> None:
    listener.status = 503
    emulator.send_events(Endpoint(listener.url, SECRET, backoff=0.01))
    emulator.service.announce_type("balance.summary.1")
    until(lambda: len(emulator.deliveries) >= 6)
    listener.status = 200
    until(lambda: emulator.events.idle)
    last = {delivery.event: delivery.status for delivery in emulator.deliveries}
    assert list(last.values()) == [200, 200]
    assert max(delivery.attempt for delivery in emulator.deliveries) > 2


def test_deliveries_that_nothing_answers_are_given_up(emulator: Emulator, listener: Listener) -> None:
    listener.server.server_close()
    emulator.send_events(Endpoint(listener.url, SECRET, backoff=0.01, attempts=3))
    emulator.service.announce_type("balance.summary.1")
    until(lambda: emulator.events.idle)
    assert [delivery.status for delivery in emulator.deliveries] == [0] * 6


def test_only_selected_events_and_none_after_the_end(emulator: Emulator, listener: Listener) -> None:
    emulator.send_events(Endpoint(listener.url, SECRET, events=("reporting.report_run.failed",)))
    emulator.service.announce_type("balance.summary.1")
    assert emulator.events.idle
    emulator.send_events(Endpoint(listener.url, SECRET))
    requests.delete(f"{emulator.control_url}/webhooks", timeout=30)
    emulator.service.announce_type("balance.summary.1")
    assert emulator.events.idle
    assert not listener.got


def test_an_unknown_field_is_named(emulator: Emulator) -> None:
    answer = requests.post(f"{emulator.control_url}/webhooks", json={"url": "http://x", "secrets": []}, timeout=30)
    assert (answer.status_code, "secrets" in answer.text) == (400, True)
