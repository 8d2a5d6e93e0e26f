"""Signatures and what is read of an event."""

from __future__ import annotations

import time
import traceback
from typing import Any

import pytest

from stripe_reports_source.emulator import sign
from stripe_reports_source.errors import ConfigurationError, WebhookRefused
from stripe_reports_source.webhook import ReportEvent, verify_event
from stripe_reports_source.webhook.events import OtherEvent, read_delivery
from tests.webhook.served import SECRET, body_of, event_of

BODY = body_of(event_of())


def about(kind: str = "reporting.report_type.updated", **changes: Any) -> dict[str, Any]:
    """An event whose object has other fields."""
    event = event_of(kind=kind)
    event["data"]["object"].update(changes)
    return event


def refusal(body: bytes, signature: str | None, secrets: Any = (SECRET,)) -> str:
    with pytest.raises(WebhookRefused) as caught:
        verify_event(body, signature, secrets)
    # the library's own error holds the body, which may be printed with a traceback
    assert "balance.summary" not in "".join(traceback.format_exception(caught.value))
    return caught.value.reason


def test_a_signed_event_is_read() -> None:
    event = verify_event(body_of(event_of(account="acct_1", created=5)), sign_of(account="acct_1", created=5), [SECRET])
    assert event == ReportEvent("evt_1", "reporting.report_type.updated", "balance.summary.1", None, "acct_1", True, 5)
    assert event is not None
    assert ReportEvent.from_json(event.to_json()) == event


def sign_of(**changes: Any) -> str:
    return sign(body_of(event_of(**changes)), SECRET)


def test_an_event_about_a_run_names_run_and_report() -> None:
    body = body_of(event_of(kind="reporting.report_run.failed"))
    event = verify_event(body, sign(body, SECRET), [SECRET])
    assert event is not None
    assert (event.run_id, event.report_type) == ("frr_1", "balance.summary.1")


def test_any_of_several_secrets_will_do() -> None:
    assert verify_event(BODY, sign(BODY, SECRET), ["whsec_new", SECRET]) is not None
    # while a secret is being rolled, Stripe signs with both
    both = sign(BODY, "whsec_other") + "," + sign(BODY, SECRET).partition(",")[2]
    assert verify_event(BODY, both, [SECRET]) is not None
    assert refusal(BODY, sign(BODY, SECRET), ["whsec_new", "whsec_newer"]) == "bad_signature"


UNSIGNED = [
    None,
    "",
    "nonsense",
    "t=1",
    f"v1={'0' * 64}",
    sign(BODY, "whsec_wrong"),
    sign(BODY, SECRET).replace("v1=", "v0="),
    sign(BODY + b" ", SECRET),
    "t=x,v1=y",
    "é",
    "t=1,v1=é",
    f"t={'9' * 5000},v1=0",
]


# by number: a signature holds the time, and every process must name the tests alike
@pytest.mark.parametrize("number", range(len(UNSIGNED)))
def test_what_is_not_signed_is_refused(number: int) -> None:
    assert refusal(BODY, UNSIGNED[number]) == "bad_signature"


def test_a_changed_body_is_refused() -> None:
    assert refusal(BODY.replace(b"summary.1", b"summary.2"), sign(BODY, SECRET)) == "bad_signature"


def test_an_old_signature_is_refused_and_named_so_only_to_senders_with_the_secret() -> None:
    hour_ago = int(time.time()) - 3600
    assert refusal(BODY, sign(BODY, SECRET, hour_ago)) == "too_old"
    assert refusal(BODY, sign(BODY, "whsec_wrong", hour_ago)) == "bad_signature"
    assert verify_event(BODY, sign(BODY, SECRET, hour_ago), [SECRET], tolerance=4000) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
        body_of({**event_of(), "id": None}),
        body_of({**event_of(), "id": "e" * 300}),
        body_of({**event_of(), "data": {}}),
        body_of({**event_of(), "data": {"object": []}}),
        body_of({**event_of(), "created": "soon"}),
        *(body_of(event_of(created=value)) for value in (-1, 1.5, True, None, [5], 10**18, 253_402_300_800)),
        *(body_of(event_of(created=float(value))) for value in ("nan", "inf", "1e300")),
        b'{"padding": NaN,' + BODY[1:],
        BODY.replace(b"1760000000", b"9" * 5000),
        BODY.replace(b"1760000000", b"1e400"),
        *(body_of(event_of(livemode=value)) for value in (None, 1, "true", ["x"])),
        *(
            body_of(event_of(account=value))
            for value in ("", 7, ["acct_1"], "acct_1/..", "acct_\ud800", "acct_1\x1b[2J")
        ),
        *(body_of(event_of(context=value)) for value in ("", 7, "/", "acct_1/", "acct_1/../acct_2", "acct_1\x1b[2J")),
        *(body_of(event_of(identity)) for identity in ("", "evt_\0", "evt_\ud800", "evt 1", "../evt", "evt_\u202e")),
        *(body_of(event_of(type=value)) for value in (7, None, "a\nb", "\udfff")),
        *(body_of(about(id=value)) for value in ("", "a..b", "../a", ".a", "a/b", "a\0", "a\ud800", "[red]a", 7, None)),
        *(body_of(about("reporting.report_run.failed", id=value)) for value in ("..", "frr_1/x", "frr_1?x", "frr.1")),
        body_of(about("reporting.report_run.failed", report_type="a b")),
    ],
)
def test_what_is_signed_but_not_an_event_is_malformed(body: bytes) -> None:
    assert refusal(body, sign(body, SECRET)) == "malformed"


def test_other_events_are_left_alone() -> None:
    body = body_of(event_of(kind="charge.succeeded"))
    assert verify_event(body, sign(body, SECRET), [SECRET]) is None


def test_an_event_without_its_mode_is_of_test_data() -> None:
    event = event_of()
    del event["livemode"]
    read = verify_event(body_of(event), sign(body_of(event), SECRET), [SECRET])
    assert read is not None
    assert not read.livemode


@pytest.mark.parametrize("kind", ["v1.reporting.report_type.updated", "reporting.report_type.updated"])
def test_a_thin_event_is_left_alone(kind: str) -> None:
    thin = {"id": "evt_1", "object": "v2.core.event", "type": kind, "created": "2026-11-25T08:00:00.000Z"}
    body = body_of({**thin, "related_object": {"id": "balance.summary.1", "type": "reporting.report_type"}})
    assert verify_event(body, sign(body, SECRET), [SECRET]) is None
    assert read_delivery(body, sign(body, SECRET), [SECRET], 300) == OtherEvent(kind, thin=True)


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_a b"], ["rk_test_1"]])
def test_useless_secrets_are_refused(secrets: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="webhook_secrets"):
        verify_event(BODY, sign(BODY, SECRET), secrets)
