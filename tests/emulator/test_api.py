"""What clients see: CSV bytes, validation texts, runs, files, control address, the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
import requests

from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.emulator.csv_format import csv_line

START = int(datetime(2025, 1, 6, tzinfo=timezone.utc).timestamp())
END = int(datetime(2025, 2, 1, tzinfo=timezone.utc).timestamp())
Make = Callable[..., Emulator]


def call(emulator: Emulator, method: str, path: str, key: str = "rk_live_demo", **options: Any) -> requests.Response:
    return requests.request(method, emulator.api_url + path, auth=(key, ""), timeout=10, **options)


def create(emulator: Emulator, report_type: str = "balance.summary.1", **parameters: Any) -> requests.Response:
    form: list[tuple[str, str]] = [("report_type", report_type)]
    for name, value in {"interval_start": START, "interval_end": END, **parameters}.items():
        if isinstance(value, list):
            form += [(f"parameters[{name}][]", item) for item in value]
        elif value is not None:
            form.append((f"parameters[{name}]", str(value)))
    return call(emulator, "POST", "/v1/reporting/report_runs", data=form)


def result_of(emulator: Emulator, run: dict[str, Any]) -> str:
    done = call(emulator, "GET", f"/v1/reporting/report_runs/{run['id']}").json()
    assert done["status"] == "succeeded"
    content = requests.get(done["result"]["url"], headers={"Authorization": "Bearer rk_live_demo"}, timeout=10).content
    assert len(content) == done["result"]["size"]
    return content.decode()


def test_csv_is_written_as_stripe_writes_it() -> None:
    values = [
        "a",
        None,
        "",
        Decimal("-1.10"),
        Decimal("1E+3"),
        True,
        5,
        datetime(2025, 1, 2, 3, 4, 5),
        date(2025, 1, 2),
        'q"\n,',
    ]
    assert csv_line(values) == (
        b'"a",,"","-1.10","1000","true","5","2025-01-02 03:04:05","2025-01-02 00:00:00","q""\n,"\n'
    )


def test_columns_come_in_the_order_asked_for(emulator: Emulator) -> None:
    columns = ["net", "created", "payment_metadata[注文]", "balance_transaction_id", "created_utc"]
    run = create(emulator, "payout_reconciliation.itemized.5", columns=columns, timezone="Asia/Kolkata").json()
    text = result_of(emulator, run)
    assert text.splitlines()[0] == '"net","created","payment_metadata[注文]","balance_transaction_id","created_utc"'
    first = text.splitlines()[1].split(",")
    local, instant = (datetime.fromisoformat(first[index].strip('"')) for index in (1, -1))
    assert (local - instant).total_seconds() == 5.5 * 3600


def test_payout_lines_without_payouts_have_a_bare_null(emulator: Emulator) -> None:
    quiet = int(datetime(2025, 1, 6, 0, 0, 1, tzinfo=timezone.utc).timestamp())
    text = result_of(emulator, create(emulator, interval_start=quiet, interval_end=quiet + 1, currency="jpy").json())
    assert '"payouts_gross","Payouts to bank","0",\n' in text
    assert text.splitlines()[1].startswith('"starting_balance","Starting balance (2025-01-06)"')
    assert "(2025-01-06)" in text.splitlines()[-1]  # the last included day


@pytest.mark.parametrize(
    ("changes", "status", "message", "param"),
    [
        (
            {"interval_start": None},
            400,
            "Missing required param: parameters[interval_start].",
            "parameters[interval_start]",
        ),
        ({"foo": "1"}, 400, "Received unknown parameter: parameters[foo]", "parameters[foo]"),
        ({"report_type": "no.such.1"}, 404, "No such report type: 'no.such.1'", "report_type"),
        ({"columns": ["net_amount", "nope"]}, 400, "nope", "parameters[columns]"),
        ({"columns": ["payment_metadata[a]"]}, 400, "payment_metadata[a]", "parameters[columns]"),
        ({"timezone": "Mars"}, 400, "Invalid timezone: Mars", "parameters[timezone]"),
        ({"currency": "xxx"}, 400, "Invalid currency", "parameters[currency]"),
        ({"interval_start": END}, 400, "must be before", "parameters.interval_start"),
        (
            {"interval_start": 0},
            400,
            "Data for the report type balance.summary.1 is only available starting at 2025-01-01 00:00:00 UTC; "
            "you requested `interval_start` = 1970-01-01 00:00:00 UTC.",
            "parameters.interval_start",
        ),
        (
            {"interval_end": 1893456000},
            400,
            "Data for the report type balance.summary.1 is only available through 2025-03-10 12:00:00 UTC; "
            "you requested `interval_end` = 2030-01-01 00:00:00 UTC.",
            "parameters.interval_end",
        ),
    ],
)
def test_refusals(emulator: Emulator, changes: dict[str, Any], status: int, message: str, param: str) -> None:
    changes = dict(changes)
    response = create(emulator, changes.pop("report_type", "balance.summary.1"), **changes)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (status, "invalid_request_error", param)
    assert message in error["message"]
    assert emulator.runs == []


@pytest.mark.parametrize(("edges", "status"), [(True, 200), (False, 400)])
def test_both_readings_of_the_ends_of_availability(start_emulator: Make, edges: bool, status: int) -> None:
    emulator = start_emulator(interval_edges=edges)
    last = int(emulator.settings.available_end.timestamp())
    assert create(emulator, interval_end=last).status_code == status
    assert create(emulator, interval_end=last - 1).status_code == 200
    first = int(emulator.settings.first_available.timestamp())
    assert create(emulator, interval_start=first).status_code == status
    assert create(emulator, interval_start=first + 1).status_code == 200


def test_keys_and_modes(start_emulator: Make) -> None:
    emulator = start_emulator(live_only=("balance.summary.1",))
    path = "/v1/reporting/report_types"
    assert requests.get(emulator.api_url + path, timeout=10).status_code == 401
    assert call(emulator, "GET", path, key="sk_test_wrong").status_code == 401
    assert call(emulator, "GET", path, key="rk_live_none").status_code == 403
    assert call(emulator, "GET", path, key="rk_test_demo").json()["data"][0]["livemode"] is False
    live_only = call(emulator, "GET", f"{path}/balance.summary.1", key="rk_test_demo")
    assert live_only.status_code == 404
    assert "requires a live mode key" in live_only.json()["error"]["message"]


def test_runs_fail_get_stuck_and_take_their_time(start_emulator: Make) -> None:
    emulator = start_emulator(pending_polls=2)
    emulator.add_fault(Fault("run_failed", method="POST", error="boom"))
    emulator.add_fault(Fault("run_stuck", method="POST"))
    failed, stuck, slow = (create(emulator, currency=currency).json()["id"] for currency in ("usd", "eur", "jpy"))

    def status(run: str) -> str:
        return str(call(emulator, "GET", f"/v1/reporting/report_runs/{run}").json()["status"])

    assert [status(failed), status(failed)] == ["pending", "failed"]
    assert [status(slow), status(slow)] == ["pending", "succeeded"]
    assert {status(stuck) for _ in range(5)} == {"pending"}
    emulator.clear_faults()
    assert [status(stuck), status(stuck)] == ["pending", "succeeded"]


def test_replays_and_misuse_of_idempotency_keys(emulator: Emulator) -> None:
    form = {"report_type": "balance.summary.1", "parameters[interval_start]": START, "parameters[interval_end]": END}
    headers = {"Idempotency-Key": "k"}
    path = "/v1/reporting/report_runs"
    first = call(emulator, "POST", path, data=form, headers=headers)
    again = call(emulator, "POST", path, data=form, headers=headers)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = call(emulator, "POST", path, data={**form, "parameters[interval_end]": END - 1}, headers=headers)
    assert other.json()["error"]["type"] == "idempotency_error"
    emulator.service.forget_idempotency()
    assert call(emulator, "POST", path, data=form, headers=headers).json()["id"] != first.json()["id"]


def test_ranges_of_a_file(emulator: Emulator) -> None:
    run = create(emulator).json()
    whole = result_of(emulator, run).encode()
    url = call(emulator, "GET", f"/v1/reporting/report_runs/{run['id']}").json()["result"]["url"]

    def part(wanted: str) -> requests.Response:
        return requests.get(url, auth=("rk_live_demo", ""), headers={"Range": wanted}, timeout=10)

    assert part("bytes=10-").content == whole[10:]
    assert part("bytes=10-19").content == whole[10:20]
    assert part("bytes=10-19").headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert part(f"bytes={len(whole)}-").status_code == 416
    assert requests.get(url, timeout=10).status_code == 401


def test_the_control_address(emulator: Emulator) -> None:
    def post(path: str, body: dict[str, Any]) -> requests.Response:
        return requests.post(emulator.control_url + path, json=body, timeout=10)

    assert post("/advance", {"days": 1}).json()["available_end"] == "2025-03-11T12:00:00+00:00"
    assert post("/advance", {"to": "2025-04-01T00:00:00Z"}).json()["available_end"] == "2025-04-01T00:00:00+00:00"
    late = {
        "created": "2025-01-20T00:00:00Z",
        "currency": "usd",
        "gross": 1999,
        "fee": 88,
        "metadata": {"order_id": "9"},
    }
    name = post("/transactions", late).json()["id"]
    itemized = "balance_change_from_activity.itemized.3"
    columns = ["balance_transaction_id", "net", "payment_metadata[order_id]"]
    run = create(emulator, itemized, columns=columns).json()
    assert f'"{name}","19.11","9"\n' in result_of(emulator, run)
    assert post("/availability", {"report_type": "balance.summary.1", "end": "2025-01-31T00:00:00Z"}).ok
    assert create(emulator).status_code == 400
    assert post("/faults", {"action": "status", "status": 503}).ok
    assert call(emulator, "GET", "/v1/reporting/report_types").status_code == 503
    assert requests.delete(emulator.control_url + "/faults", timeout=10).ok
    for path, body in [("/faults", {"action": "explode"}), ("/advance", {"to": "2025-01-01"}), ("/transactions", {})]:
        assert post(path, body).status_code == 400
    shown = requests.get(emulator.control_url + "/requests", timeout=10)
    assert "rk_live_demo" not in shown.text
    assert len(shown.json()) == len(emulator.requests)


@pytest.mark.first(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    ports = ["--api-port", "0", "--files-port", "0", "--control-port", "0"]
    command = [sys.executable, "-m", "stripe_reports_source.cli", "emulator", *ports]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(9)]
        address = lines[1].split()[1]
        assert requests.get(f"{address}/v1/reporting/report_types", auth=("rk_live_demo", ""), timeout=10).ok
        process.send_signal(number)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/advance", {"days": 1e12}, "OverflowError"),
        ("POST", "/advance", {"to": 5}, "5 is not an instant"),
        ("POST", "/advance", {"dayz": 1}, "unknown: dayz; there are days, hours, to"),
        ("POST", "/availability", {"end": None}, "None is not an instant"),
        ("POST", "/availability", {"report_type": ["x"]}, "is not offered"),
        ("PATCH", "/payouts/po_none", {"effective": 5}, "5 is not an instant"),
        ("PATCH", "/payouts/po_none", {"nope": 5}, "unknown: nope"),
        ("POST", "/events", {"report_type": "nope"}, "report_type 'nope' is not offered"),
        ("POST", "/events", {"reports": "nope"}, "unknown: reports"),
        ("POST", "/objects", {"id": "nope", "field": {}}, "unknown: field"),
    ],
)
def test_the_control_address_refuses_what_it_does_not_understand(
    emulator: Emulator, method: str, path: str, body: dict[str, Any], said: str
) -> None:
    before = emulator.service.available_end
    answer = requests.request(method, emulator.control_url + path, json=body, timeout=10)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert emulator.service.available_end == before


def test_a_form_that_is_not_utf8_is_refused(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulator.settings.live_keys[0]}"}
    answer = requests.post(f"{emulator.api_url}/v1/reporting/report_runs", data=b"\xff=1", headers=headers, timeout=10)
    assert answer.status_code == 400
    assert "not UTF-8" in answer.json()["error"]["message"]
