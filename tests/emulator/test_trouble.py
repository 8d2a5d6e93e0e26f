"""Trouble that lasts: data taken back, odd objects, kept errors, endless lists, other accounts, spoiled downloads."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from stripe_reports_source.emulator import Emulator, Fault
from tests.emulator.test_api import END, START, call, create, result_of

TYPES = "/v1/reporting/report_types"
RUNS = "/v1/reporting/report_runs"
FORM = {"report_type": "balance.summary.1", "parameters[interval_start]": START, "parameters[interval_end]": END}
Make = Callable[..., Emulator]


def listed(emulator: Emulator, path: str = TYPES, **options: Any) -> dict[str, dict[str, Any]]:
    return {found["id"]: found for found in call(emulator, "GET", path, **options).json()["data"]}


def control(emulator: Emulator, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
    return requests.request(method, emulator.control_url + path, json=body, timeout=10)


def test_data_can_be_taken_back_and_returns_the_same(emulator: Emulator) -> None:
    before = result_of(emulator, create(emulator).json())
    emulator.set_availability("balance.summary.1", end=datetime(2025, 1, 31, tzinfo=timezone.utc))
    assert listed(emulator)["balance.summary.1"]["data_available_end"] < END
    assert listed(emulator)["payouts.itemized.3"]["data_available_end"] > END
    refused = create(emulator)
    assert refused.status_code == 400
    assert "is only available through 2025-01-31 00:00:00 UTC" in refused.json()["error"]["message"]
    assert control(emulator, "POST", "/availability", {"end": "2025-01-20T00:00:00Z"}).ok
    assert {found["data_available_end"] for found in listed(emulator).values()} == {1737331200}
    emulator.advance(emulator.settings.available_end)
    assert result_of(emulator, create(emulator).json()) == before


def test_a_report_type_looks_odd_until_it_is_restored(emulator: Emulator) -> None:
    whole = listed(emulator)["balance.summary.1"]
    emulator.alter("balance.summary.1", {"data_available_start": None, "version": "beta"}, absent=["updated"])
    for odd in (listed(emulator)["balance.summary.1"], call(emulator, "GET", f"{TYPES}/balance.summary.1").json()):
        assert (odd["data_available_start"], odd["version"], "updated" in odd) == (None, "beta", False)
    emulator.restore("balance.summary.1")
    assert listed(emulator)["balance.summary.1"] == whole


def test_a_report_type_that_is_in_no_catalogue_can_be_in_the_list(emulator: Emulator) -> None:
    types = listed(emulator)
    assert control(emulator, "POST", "/objects", {"id": "brand_new.1", "fields": {"data_available_end": None}}).ok
    new = {"id": "brand_new.1", "object": "reporting.report_type", "data_available_end": None}
    assert listed(emulator) == {**types, "brand_new.1": new}
    assert control(emulator, "DELETE", "/objects/brand_new.1").ok
    assert listed(emulator) == types


def test_a_report_is_no_longer_offered_and_offered_again(emulator: Emulator) -> None:
    emulator.alter("balance.summary.1", hidden=True)
    assert "balance.summary.1" not in listed(emulator)
    assert call(emulator, "GET", f"{TYPES}/balance.summary.1").status_code == 404
    assert create(emulator).status_code == 404
    emulator.advance(emulator.settings.available_end + timedelta(days=1))  # of which its account is not told
    assert control(emulator, "DELETE", "/objects").ok
    assert create(emulator).status_code == 200


def test_a_run_has_an_unknown_status_or_no_file_or_is_gone(emulator: Emulator) -> None:
    first, second = (create(emulator, currency=currency).json()["id"] for currency in ("usd", "eur"))
    emulator.alter(first, {"status": "canceled"})
    emulator.alter(second, {"status": "succeeded", "result": None})
    runs = listed(emulator, RUNS)
    assert (runs[first]["status"], runs[second]["status"], runs[second]["result"]) == ("canceled", "succeeded", None)
    assert call(emulator, "GET", f"{RUNS}/{first}").json()["status"] == "canceled"
    emulator.alter(first, hidden=True)
    assert set(listed(emulator, RUNS)) == {second}
    assert call(emulator, "GET", f"{RUNS}/{first}").status_code == 404


@pytest.mark.parametrize("status", [500, 400])
def test_an_error_is_kept_under_its_idempotency_key(emulator: Emulator, status: int) -> None:
    emulator.add_fault(Fault("kept_error", method="POST", status=status))
    asked = [call(emulator, "POST", RUNS, data=FORM, headers={"Idempotency-Key": key}) for key in ("a", "a", "b")]
    assert [answer.status_code for answer in asked] == [status, status, 200]
    assert [answer.headers.get("Idempotent-Replayed") for answer in asked] == [None, "true", None]
    assert (
        asked[0].json() == asked[1].json() == {"error": {"message": "An unknown error occurred", "type": "api_error"}}
    )
    assert len(emulator.runs) == 1
    emulator.service.forget_idempotency()
    assert call(emulator, "POST", RUNS, data=FORM, headers={"Idempotency-Key": "a"}).status_code == 200


def test_a_list_never_ends(emulator: Emulator) -> None:
    create(emulator)
    emulator.add_fault(Fault("endless", method="GET", times=None))
    [run] = listed(emulator, RUNS)
    for path in (RUNS, f"{RUNS}?starting_after={run}", TYPES):
        page = call(emulator, "GET", path).json()
        assert page["has_more"]
        assert page["data"]
    assert list(listed(emulator, f"{RUNS}?starting_after={run}")) == [run]


def test_each_account_and_mode_has_its_own_rows_and_runs(start_emulator: Make) -> None:
    emulator = start_emulator(live_keys=("rk_live_demo", "rk_live_other"), accounts={"rk_live_other": "acct_other"})
    texts = {}
    for key in ("rk_live_demo", "rk_live_other", "rk_test_demo"):
        run = call(emulator, "POST", RUNS, key=key, data=FORM).json()
        done = call(emulator, "GET", f"{RUNS}/{run['id']}", key=key).json()
        assert done["livemode"] == key.startswith("rk_live")
        for other in {"rk_live_demo", "rk_live_other", "rk_test_demo"} - {key}:
            assert call(emulator, "GET", f"{RUNS}/{run['id']}", key=other).status_code == 404
            assert requests.get(done["result"]["url"], auth=(other, ""), timeout=10).status_code == 404
        assert list(listed(emulator, RUNS, key=key)) == [run["id"]]
        texts[key] = requests.get(done["result"]["url"], auth=(key, ""), timeout=10).text
    assert len(set(texts.values())) == 3
    start, end = (datetime.fromtimestamp(moment, timezone.utc) for moment in (START, END))
    truths = [emulator.truth_for(key, "balance.summary.1", start, end) for key in texts]
    assert truths[0] == emulator.truth("balance.summary.1", start, end)
    assert len({str(truth) for truth in truths}) == 3


def test_keys_of_the_same_account_share_it(start_emulator: Make) -> None:
    emulator = start_emulator(live_keys=("rk_live_demo", "rk_live_rolled"))
    run = create(emulator).json()
    assert call(emulator, "GET", f"{RUNS}/{run['id']}", key="rk_live_rolled").status_code == 200


def test_an_organisations_key_needs_a_context_and_a_version(start_emulator: Make) -> None:
    emulator = start_emulator(live_keys=("rk_live_demo", "sk_org_live_demo"))

    def made(key: str, **headers: str) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return call(emulator, "POST", RUNS, key=key, data=FORM, headers=sent)

    assert made("sk_org_live_demo").status_code == 400
    assert made("sk_org_live_demo", Stripe_Account="acct_emulated1").status_code == 400
    assert made("rk_live_demo", Stripe_Account="acct_emulated1", Stripe_Context="acct_emulated1").status_code == 400
    assert made("sk_org_live_demo", Stripe_Context="acct_emulated1").status_code == 400
    version = "2025-03-31.basil"
    run = made("sk_org_live_demo", Stripe_Context="org_demo/acct_emulated1", Stripe_Version=version).json()["id"]
    path = f"{RUNS}/{run}"
    assert call(emulator, "GET", path, headers={"Stripe-Account": "acct_emulated1"}).status_code == 200
    assert call(emulator, "GET", path, headers={"Stripe-Context": "acct_emulated1"}).status_code == 200
    assert call(emulator, "GET", path).status_code == 404


def test_ids_are_of_this_start_alone_unless_asked_otherwise(start_emulator: Make) -> None:
    first, second = start_emulator(), start_emulator()
    assert create(first).json()["id"] != create(second).json()["id"]
    assert first.events._identity("evt") != second.events._identity("evt")
    first, second = start_emulator(identity="a"), start_emulator(identity="a")
    assert create(first).json()["id"] == create(second).json()["id"]
    assert first.events._identity("evt") == second.events._identity("evt")


_TWO_RUNS = """
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from tests.conftest import SMALL
from tests.emulator.test_trouble import made_runs

with Emulator(EmulatorSettings(**SMALL)) as emulator:
    print(*made_runs(emulator))
"""


def made_runs(emulator: Emulator) -> list[str]:
    """Makes two runs; their ids and those of their files."""
    runs = [create(emulator).json()["id"], create(emulator).json()["id"]]
    ended = [call(emulator, "GET", f"{RUNS}/{run}").json() for run in runs]
    return [*runs, *(run["result"]["id"] for run in ended)]


@pytest.mark.long
def test_no_two_processes_of_a_business_share_an_id_and_each_knows_the_runs_of_the_others(emulator: Emulator) -> None:
    processes = [
        subprocess.run([sys.executable, "-c", _TWO_RUNS], capture_output=True, text=True, check=True) for _ in range(2)
    ]
    earlier = [process.stdout.split() for process in processes]
    own = made_runs(emulator)
    ids = [*own, *earlier[0], *earlier[1]]
    assert len(ids) == len(set(ids)) == 12
    for run in (*earlier[0][:2], *earlier[1][:2]):
        known = call(emulator, "GET", f"{RUNS}/{run}")
        assert known.status_code == 200
        assert "earlier start of the emulator" in known.json()["error"]
        assert call(emulator, "GET", f"{RUNS}/{run}", key="rk_test_demo").status_code == 404
    assert call(emulator, "GET", f"{RUNS}/frr_{'0' * 24}").status_code == 404


@pytest.fixture
def file(emulator: Emulator) -> tuple[str, bytes]:
    """A result file's address and content."""
    run = create(emulator).json()
    whole = result_of(emulator, run).encode()
    return call(emulator, "GET", f"{RUNS}/{run['id']}").json()["result"]["url"], whole


def fetch(url: str, **headers: str) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(url, auth=("rk_live_demo", ""), headers=sent, timeout=10)


def test_a_range_of_the_same_file_only(emulator: Emulator, file: tuple[str, bytes]) -> None:
    url, whole = file
    etag = fetch(url).headers["ETag"]
    assert fetch(url).headers["ETag"] == etag
    assert fetch(url, Range="bytes=10-", If_Range=etag).status_code == 206
    other = fetch(url, Range="bytes=10-", If_Range='"other"')
    assert (other.status_code, other.content) == (200, whole)
    emulator.add_fault(Fault("new_etag", address="files"))
    changed = fetch(url, Range="bytes=10-", If_Range=etag)
    assert (changed.status_code, changed.content) == (200, whole)
    assert changed.headers["ETag"] != etag


def test_ranges_that_are_not_those_asked_for(emulator: Emulator, file: tuple[str, bytes]) -> None:
    url, whole = file
    emulator.add_fault(Fault("ignore_range", address="files"))
    ignored = fetch(url, Range="bytes=10-")
    assert (ignored.status_code, ignored.content) == (200, whole)
    emulator.add_fault(Fault("shift_range", address="files", bytes=3))
    shifted = fetch(url, Range="bytes=10-")
    assert (shifted.status_code, shifted.content) == (206, whole[7:-3])
    assert shifted.headers["Content-Range"] == f"bytes 7-{len(whole) - 4}/{len(whole)}"


def test_a_download_is_compressed_unasked(emulator: Emulator, file: tuple[str, bytes]) -> None:
    url, whole = file
    emulator.add_fault(Fault("compress", address="files", times=None))
    answer = requests.get(
        url, auth=("rk_live_demo", ""), headers={"Accept-Encoding": "identity"}, stream=True, timeout=10
    )
    assert answer.headers["Content-Encoding"] == "gzip"
    raw = answer.raw.read(decode_content=False)
    assert len(raw) == int(answer.headers["Content-Length"]) != len(whole)
    assert gzip.decompress(raw) == whole
    assert fetch(url, Range="bytes=10-").content == whole[10:]


def test_a_column_is_not_known_any_more(start_emulator: Make) -> None:
    emulator = start_emulator(refused_columns=("description",))
    assert "description" not in listed(emulator)["balance.summary.1"]["default_columns"]
    refused = create(emulator, columns=["category", "description"])
    assert refused.status_code == 400
    assert "`description`" in refused.json()["error"]["message"]
    assert result_of(emulator, create(emulator).json()).startswith('"category","net_amount","currency"\n')
