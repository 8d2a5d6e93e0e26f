"""The client against real HTTP: retries, errors, downloads, and where the key goes."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.errors import (
    AuthenticationError,
    ConfigurationError,
    DownloadError,
    PermissionDenied,
    StripeError,
    StripeUnreachable,
)
from stripe_reports_source.plan.settings import RetryPolicy, checked_base_url
from stripe_reports_source.plan.stripe_objects import ReportRun, ResultFile, unix
from stripe_reports_source.stripe_api.client import StripeClient

MakeClient = Callable[..., StripeClient]
JANUARY = {
    "interval_start": unix(datetime(2025, 1, 1, tzinfo=timezone.utc)),
    "interval_end": unix(datetime(2025, 2, 1, tzinfo=timezone.utc)),
}


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def make_client(emulator: Emulator, slept: list[float]) -> MakeClient:
    def make(api_key: str = emulator.settings.live_keys[0], **changes: Any) -> StripeClient:
        settings = {
            "api_base_url": emulator.api_url,
            "files_base_url": emulator.files_url,
            "retry": RetryPolicy(attempts=4),
            **changes,
        }
        return StripeClient(api_key, **settings, sleep=slept.append, chance=lambda: 1.0)

    return make


@pytest.fixture
def client(make_client: MakeClient) -> StripeClient:
    return make_client()


def finished_run(client: StripeClient, **parameters: Any) -> ReportRun:
    run = client.create_run("payouts.itemized.3", {**JANUARY, **parameters}, idempotency_key="k1")
    assert run.status == "pending"
    return client.run(run.id)


def file_of(run: ReportRun) -> ResultFile:
    assert run.result is not None
    return run.result


def test_report_types(client: StripeClient) -> None:
    found = {one.id: one for one in client.report_types()}
    summary = found["balance.summary.1"]
    assert summary.default_columns == ("category", "description", "net_amount", "currency")
    assert summary.available.end == datetime(2025, 3, 10, 12, tzinfo=timezone.utc)
    assert summary.livemode


def test_a_run_from_creation_to_file(client: StripeClient, emulator: Emulator, tmp_path: Path) -> None:
    run = finished_run(client, columns=["payout_id", "net"], currency="usd", timezone="Asia/Kolkata")
    assert run.parameters == {**JANUARY, "columns": ["payout_id", "net"], "currency": "usd", "timezone": "Asia/Kolkata"}
    file = file_of(run)
    found = client.download(file, tmp_path / "x.csv")
    content = found.path.read_bytes()
    assert len(content) == found.bytes == file.size
    assert content.startswith(b'"payout_id","net"\n"po_')
    assert all(one.headers["stripe-version"] for one in emulator.requests)


def test_the_same_idempotency_key_gives_the_same_run(client: StripeClient, emulator: Emulator) -> None:
    first = client.create_run("balance.summary.1", JANUARY, idempotency_key="same")
    again = client.create_run("balance.summary.1", JANUARY, idempotency_key="same")
    assert first.id == again.id
    assert len(emulator.runs) == 1


def test_runs_are_listed_page_by_page_since_an_instant(client: StripeClient, emulator: Emulator) -> None:
    ids = [client.create_run("balance.summary.1", JANUARY, idempotency_key=f"k{n}").id for n in range(203)]
    found = [run.id for run in client.runs_since(emulator.settings.available_end)]
    assert found == ids[::-1]
    assert list(client.runs_since(datetime(2030, 1, 1, tzinfo=timezone.utc))) == []


def test_accounts_see_their_own_runs(client: StripeClient) -> None:
    run = client.create_run("balance.summary.1", JANUARY, idempotency_key="k", account="acct_1")
    assert client.run(run.id, "acct_1").id == run.id
    with pytest.raises(StripeError, match="No such"):
        client.run(run.id)


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_passing_troubles_are_tried_again(
    client: StripeClient, emulator: Emulator, slept: list[float], status: int
) -> None:
    emulator.add_fault(Fault("status", status=status, times=2, body='{"error": {"message": "busy"}}'))
    assert client.report_types()
    assert slept == [0.5, 1.0]


def test_retry_after_is_honoured(client: StripeClient, emulator: Emulator, slept: list[float]) -> None:
    emulator.add_fault(Fault("status", status=429, headers={"Retry-After": "7"}))
    assert client.report_types()
    assert slept == [7.0]


def test_stripe_should_retry_decides(client: StripeClient, emulator: Emulator, slept: list[float]) -> None:
    error = '{"error": {"message": "no", "type": "api_error"}}'
    emulator.add_fault(Fault("status", status=500, headers={"Stripe-Should-Retry": "false"}, body=error))
    with pytest.raises(StripeError, match="HTTP 500"):
        client.report_types()
    emulator.add_fault(Fault("status", status=400, headers={"Stripe-Should-Retry": "true"}, body=error))
    assert client.report_types()
    assert len(slept) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", times=2),
        Fault("truncate", bytes=20, times=2),
        Fault("status", status=200, body="<html>", times=2),
    ],
    ids=["connection reset", "cut answer", "HTML instead of JSON"],
)
def test_broken_answers_are_asked_for_again(client: StripeClient, emulator: Emulator, fault: Fault) -> None:
    emulator.add_fault(fault)
    assert client.report_types()


def test_giving_up_names_request_and_trouble(make_client: MakeClient, emulator: Emulator) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(StripeUnreachable, match=r"GET http://.*/v1/reporting/report_types failed 4 times.*Error"):
            make_client(api_base_url=address).report_types()
    for fault in (Fault("reset", times=None), Fault("status", status=200, body="<html>", times=None)):
        emulator.clear_faults()
        emulator.add_fault(fault)
        with pytest.raises(StripeUnreachable, match="4 times no whole JSON object"):
            make_client().report_types()


class Endless(BaseHTTPRequestHandler):
    """Answers without an end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" " * (1 << 16))

    def log_message(self, format: str, *values: Any) -> None:
        pass


@pytest.fixture
def endless() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_answer_without_an_end_is_left(make_client: MakeClient, endless: str, tmp_path: Path) -> None:
    retry = RetryPolicy(attempts=4, answer_bytes=1 << 20)
    client = make_client(api_base_url=endless, files_base_url=endless, retry=retry)
    with pytest.raises(StripeUnreachable, match="no whole JSON object"):
        client.report_types()
    with pytest.raises(DownloadError, match="has 5000000 bytes at Stripe"):
        client.download(ResultFile("file_1", f"{endless}/file", 5_000_000), tmp_path / "x.csv")
    assert list(tmp_path.glob("*.csv")) == []


def test_an_answer_that_drips_is_left(make_client: MakeClient, endless: str) -> None:
    times = itertools.count(0, 50)  # seconds that seem to pass between two looks at the clock
    with pytest.raises(StripeUnreachable, match="no whole JSON object"):
        make_client(api_base_url=endless, clock=lambda: float(next(times))).report_types()


def test_broken_compression(client: StripeClient, emulator: Emulator, tmp_path: Path) -> None:
    file = file_of(finished_run(client))
    garbage: dict[str, Any] = {"status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "this is no gzip"}
    emulator.add_fault(Fault("status", **garbage, times=2))
    assert client.report_types()
    emulator.add_fault(Fault("status", **garbage, address="files"))
    with pytest.raises(DownloadError, match="came compressed"):
        client.download(file, tmp_path / "x.csv")


def test_a_lost_answer_to_creation_makes_no_second_run(client: StripeClient, emulator: Emulator) -> None:
    emulator.add_fault(Fault("truncate", bytes=10, method="POST", times=1))
    run = client.create_run("balance.summary.1", JANUARY, idempotency_key="k")
    assert [one.id for one in emulator.runs] == [run.id]


def test_errors_carry_what_stripe_said(client: StripeClient) -> None:
    with pytest.raises(StripeError) as caught:
        client.create_run("balance.summary.1", {**JANUARY, "interval_end": 1900000000}, idempotency_key="k")
    error = caught.value
    assert (error.http_status, error.type, error.param) == (400, "invalid_request_error", "parameters.interval_end")
    assert "only available through 2025-03-10 12:00:00 UTC" in error.message
    assert error.request_id is not None
    assert error.request_id.startswith("req_")


def test_keys_without_right(make_client: MakeClient, emulator: Emulator) -> None:
    with pytest.raises(AuthenticationError, match="Invalid API Key"):
        make_client("rk_live_wrong").report_types()
    with pytest.raises(PermissionDenied, match="report_runs_and_report_types_read"):
        make_client(emulator.settings.powerless_keys[0]).report_types()


def test_a_cut_download_goes_on_where_it_stopped(client: StripeClient, emulator: Emulator, tmp_path: Path) -> None:
    file = file_of(finished_run(client))
    emulator.add_fault(Fault("truncate", bytes=1000, address="files", times=2))
    found = client.download(file, tmp_path / "x.csv")
    assert found.bytes == file.size
    ranges = [one.headers.get("range") for one in emulator.requests if one.address == "files"]
    assert ranges == [None, "bytes=1000-", "bytes=2000-"]
    whole = client.download(file, tmp_path / "y.csv")
    assert whole.path.read_bytes() == found.path.read_bytes()
    assert whole.sha256 == found.sha256


@pytest.mark.parametrize("missing", [1, -1])
def test_a_file_of_the_wrong_size_is_refused_and_removed(
    client: StripeClient, emulator: Emulator, tmp_path: Path, missing: int
) -> None:
    file = file_of(finished_run(client))
    if missing > 0:
        emulator.add_fault(Fault("wrong_length", bytes=missing, address="files", times=None))
    else:
        file = ResultFile(file.id, file.url, file.size + missing)
    with pytest.raises(DownloadError, match=rf"has {file.size} bytes at Stripe, "):
        client.download(file, tmp_path / "x.csv")
    assert list(tmp_path.glob("*.csv")) == []


def test_a_file_that_is_gone(client: StripeClient, emulator: Emulator, tmp_path: Path) -> None:
    file = file_of(finished_run(client))
    emulator.add_fault(Fault("status", status=404, body='{"error": {"message": "gone"}}', address="files"))
    with pytest.raises(DownloadError, match="is gone"):
        client.download(file, tmp_path / "x.csv")


def test_the_key_goes_to_the_configured_hosts_only(
    make_client: MakeClient, start_emulator: Callable[..., Emulator], emulator: Emulator, tmp_path: Path
) -> None:
    other = start_emulator()
    client = make_client()
    file = file_of(finished_run(client))
    with pytest.raises(DownloadError, match="the key is not sent there"):
        client.download(ResultFile(file.id, f"{other.files_url}/v1/files/x/contents", 1), tmp_path / "x.csv")
    emulator.add_fault(Fault("status", status=302, headers={"Location": f"{other.api_url}/v1/reporting/report_types"}))
    with pytest.raises(StripeUnreachable, match="HTTP 302"):
        client.report_types()
    assert list(other.requests) == []
    assert emulator.settings.live_keys[0] not in repr(client)


@pytest.mark.parametrize(
    "url", ["http://api.stripe.com", "ftp://127.0.0.1", "api.stripe.com", "https://user@api.stripe.com", ""]
)
def test_addresses_must_be_safe(url: str) -> None:
    with pytest.raises(ConfigurationError, match="api_base_url"):
        checked_base_url(url, "api_base_url")


@pytest.mark.parametrize(
    "url", ["https://api.stripe.com/", "http://127.0.0.1:8", "http://localhost:8", "http://[::1]:8"]
)
def test_safe_addresses(url: str) -> None:
    assert checked_base_url(url, "api_base_url") == url.rstrip("/")
