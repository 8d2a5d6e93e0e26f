"""The client against real HTTP: retries, errors, downloads, and where the key goes."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
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
from tests.http.scripted import Answer, Script, scripted

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
    found = {offer.id: offer for offer in client.report_types()}
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
    assert all(request.headers["stripe-version"] for request in emulator.requests)


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
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
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
    garbage: dict[str, Any] = {"status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "this is not gzip"}
    emulator.add_fault(Fault("status", **garbage, times=2))
    assert client.report_types()
    emulator.add_fault(Fault("status", **garbage, address="files"))
    assert client.download(file, tmp_path / "x.csv").bytes == file.size


def test_a_lost_answer_to_creation_makes_no_second_run(client: StripeClient, emulator: Emulator) -> None:
    emulator.add_fault(Fault("truncate", bytes=10, method="POST", times=1))
    run = client.create_run("balance.summary.1", JANUARY, idempotency_key="k")
    assert [made.id for made in emulator.runs] == [run.id]


TYPES: dict[str, Any] = {
    "id": "balance.summary.1",
    "name": "Balance",
    "version": 1,
    "data_available_start": 1735689600,
    "data_available_end": 1738368000,
    "updated": 1738370000,
}


def page(*items: Any, has_more: Any = False) -> Answer:
    return Answer(json.dumps({"object": "list", "data": items, "has_more": has_more}).encode())


def client_of(script: Script, api_key: str = "rk_live_demo", **settings: Any) -> StripeClient:
    retry = settings.pop("retry", RetryPolicy(attempts=2))
    return StripeClient(
        api_key,
        api_base_url=script.url,
        files_base_url=script.url,
        retry=retry,
        sleep=lambda seconds: None,
        **settings,
    )


def test_a_type_that_cannot_be_read_troubles_only_those_who_ask_for_it(caplog: pytest.LogCaptureFixture) -> None:
    odd = [{**TYPES, "id": "new.report.1", "data_available_start": None}, {**TYPES, "id": "a/b"}, None, 5, {}]
    with scripted(page(odd[0], TYPES, *odd[1:])) as script:
        found = client_of(script).report_types()
    assert [offered.id for offered in found] == ["balance.summary.1"]
    assert list(found.unreadable) == ["new.report.1"]
    assert "data_available_start None" in found.unreadable["new.report.1"]
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith("5 report type(s) of Stripe's list skipped; the first: ")


def test_a_run_of_others_that_cannot_be_read_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    run = {"id": "frr_1", "report_type": "balance.summary.1", "status": "pending", "created": 1738370000}
    others = [{**run, "id": "frr_2", "status": "canceled"}, {**run, "id": "frr_3", "status": "succeeded"}]
    with scripted(page(*others, run)) as script:
        found = list(client_of(script).runs_since(datetime(2025, 1, 1, tzinfo=timezone.utc)))
    assert [run.id for run in found] == ["frr_1"]
    assert len(caplog.records) == 1
    with scripted(Answer(json.dumps(others[0]).encode())) as script, pytest.raises(StripeUnreachable, match="canceled"):
        client_of(script).run("frr_2")


def test_a_run_is_asked_for_by_a_safe_id_and_is_the_one_that_was_asked_for() -> None:
    run = {"id": "frr_1", "report_type": "balance.summary.1", "status": "pending", "created": 1738370000}
    with scripted(Answer(json.dumps(run).encode())) as script:
        for ask in (client_of(script).run, client_of(script).knows_run):
            with pytest.raises(StripeUnreachable, match=r"cannot be asked for '\.\./charges', which is not an id"):
                ask("../charges")
        assert script.requests == []
        with pytest.raises(StripeUnreachable, match="asked for report run frr_2 and answered with frr_1"):
            client_of(script).run("frr_2")


@pytest.mark.parametrize(
    ("pages", "asked"),
    [
        ([page(TYPES, has_more=True)], 2),
        ([page({**TYPES, "id": "a.1"}, has_more=True), page({**TYPES, "id": "b.1"}, has_more=True)] * 50, 3),
        ([page(None, {"id": "a/b"}, has_more=True)], 1),
        ([page({**TYPES, "id": f"a.{number}"}, has_more=True) for number in range(1, 100)], 20),
    ],
    ids=["the same page", "two pages in turn", "no cursor", "more pages than can be"],
)
def test_a_list_that_does_not_end_is_left(pages: list[Answer], asked: int) -> None:
    with scripted(*pages) as script:
        with pytest.raises(StripeUnreachable, match=r"list GET /v1/reporting/report_types does not end"):
            client_of(script, retry=RetryPolicy(attempts=2, pages=20)).report_types()
        assert len(script.requests) == asked


@pytest.mark.parametrize("more", [False, None, "true", 0, "false"])
def test_a_list_ends_where_stripe_says_so(more: Any) -> None:
    with scripted(page(TYPES, has_more=more)) as script:
        assert len(client_of(script).report_types().types) == 1
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"data": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"{}", b'{"data": {}}'],
    ids=["deep", "huge", "not text", "empty", "an object"],
)
def test_what_is_not_a_list_is_an_error_of_ours(body: bytes) -> None:
    with scripted(Answer(body)) as script, pytest.raises(StripeUnreachable):
        client_of(script).report_types()


@pytest.mark.parametrize("status", [400, 402, 500])
def test_an_error_that_stripe_keeps_is_not_asked_for_again(status: int) -> None:
    error = b'{"error": {"message": "An error occurred.", "type": "api_error"}}'
    with scripted(Answer(error, status, {"Idempotent-Replayed": " TRUE "})) as script:
        with pytest.raises(StripeError) as caught:
            client_of(script).create_run("balance.summary.1", {}, idempotency_key="k")
        assert (caught.value.replayed, len(script.requests)) == (True, 1)
    with scripted(Answer(b"", 500, {"Idempotent-Replayed": "true"})) as script:
        with pytest.raises(StripeError) as caught:
            client_of(script).create_run("balance.summary.1", {}, idempotency_key="k")
        assert caught.value.replayed


def test_advice_is_read_as_http_says() -> None:
    error = b'{"error": {"message": "no"}}'
    with scripted(Answer(error, 500, {"stripe-should-retry": " False "})) as script:
        with pytest.raises(StripeError):
            client_of(script).report_types()
        assert len(script.requests) == 1


KEY = "rk_live_" + "51AbcDEF"
FORMS = {
    "plain": KEY,
    "other case": KEY.upper(),
    "percent": "".join(f"%{ord(letter):02X}" for letter in KEY),
    "html": "".join(f"&#{ord(letter)};" for letter in KEY),
    "json": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_no_error_brings_the_key_back(form: str, status: int) -> None:
    body = '{"error": {"message": "K", "type": "K", "code": "K", "param": "K"}}'.replace("K", f"x{form}x")
    with scripted(Answer(body.encode(), status, {"Request-Id": KEY})) as script, pytest.raises(StripeError) as caught:
        client_of(script, KEY).report_types()
    said = f"{caught.value} {caught.value!r} {vars(caught.value)}"
    for hidden in (*FORMS.values(), FORMS["base64"][:12]):
        assert hidden.lower() not in said.lower()


def test_errors_show_no_control_characters_and_no_endless_text() -> None:
    body = json.dumps({"error": {"message": "no\x1b[2J\r\n\u202e" + "x" * 10_000, "type": ["x"], "code": 5}})
    with scripted(Answer(body.encode(), 400)) as script, pytest.raises(StripeError) as caught:
        client_of(script).report_types()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1200
    assert (caught.value.type, caught.value.code) == (None, None)


@pytest.mark.parametrize(
    ("header", "account"), [("Stripe-Account", "acct_1"), ("Stripe-Context", "acct_1/acct_2"), ("Stripe-Account", None)]
)
def test_requests_say_on_which_account_they_act(header: str, account: str | None) -> None:
    with scripted(page(TYPES)) as script:
        client_of(script, account_header=header).report_types(account)
    [request] = script.requests
    sent = {name: request[name] for name in ("stripe-account", "stripe-context") if name in request}
    assert sent == ({header.lower(): account} if account else {})
    assert request["stripe-version"]


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
    needed = r"report_runs_and_report_types_read.*'Report runs and report types'.*'Files'"
    with pytest.raises(PermissionDenied, match=needed):
        make_client(emulator.settings.powerless_keys[0]).report_types()


def test_a_cut_download_goes_on_where_it_stopped(client: StripeClient, emulator: Emulator, tmp_path: Path) -> None:
    file = file_of(finished_run(client))
    emulator.add_fault(Fault("truncate", bytes=1000, address="files", times=2))
    found = client.download(file, tmp_path / "x.csv")
    assert found.bytes == file.size
    ranges = [request.headers.get("range") for request in emulator.requests if request.address == "files"]
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
