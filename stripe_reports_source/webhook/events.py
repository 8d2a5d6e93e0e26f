"""Stripe's events about reports: verified, and cut down to what a sync needs to know.

In: the raw body of a request, its `Stripe-Signature`, the endpoint's secrets. Out: a `ReportEvent`. Nothing else of the
body is kept, and no error quotes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ..errors import ConfigurationError, WebhookRefused
from ..plan.credentials import account_of

EventKind = Literal[
    "reporting.report_type.updated",  # Stripe has new data of a report type
    "reporting.report_run.succeeded",
    "reporting.report_run.failed",
]
TOLERANCE = 300
"""Seconds that a signature may be old, as in Stripe's libraries."""
THIN = "v2.core.event"
"""The `object` of events with the payload style thin (https://docs.stripe.com/event-destinations#thin-events)."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_CONTEXT = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_REPORT_TYPE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_LAST_SECOND = 253_402_300_799  # of the year 9999, the last that Python and databases can date


@dataclass(frozen=True)
class ReportEvent:
    """An event of Stripe's about reports. What it is about is read again from the API.

    Args:
        id: `evt_...`; Stripe may send an event more than once.
        kind: Stripe's event type.
        report_type: exact id, `balance.summary.1`.
        run_id: `frr_...`, for events about runs.
        account: the account that the event happened on, a connected one or one of an organisation; None for the
            endpoint's own.
        livemode: False for test data.
        created: when Stripe made the event, Unix seconds.
    """

    id: str
    kind: EventKind
    report_type: str
    run_id: str | None
    account: str | None
    livemode: bool
    created: int

    def to_json(self) -> str:
        """As text, for a queue."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> ReportEvent:
        """The event that `to_json` wrote. Only for what came from a place of your own: nothing is verified here."""
        return ReportEvent(**json.loads(text))


@dataclass(frozen=True)
class OtherEvent:
    """An event of Stripe's that does not tell of reports, as far as it says.

    Args:
        kind: Stripe's event type.
        thin: True if it is of the payload style thin, which names what it is about but does not hold it.
    """

    kind: str
    thin: bool


def verify_event(
    payload: bytes, signature_header: str | None, secrets: Sequence[str], tolerance: int = TOLERANCE
) -> ReportEvent | None:
    """Verify a request from Stripe with Stripe's own library and read its event.

    Args:
        payload: the body as it came; any change, even of white space, breaks the signature.
        signature_header: the value of `Stripe-Signature`.
        secrets: the endpoint's secrets, `whsec_...`: two while the first is being replaced by the second.
        tolerance: seconds that the signature may be old.

    Returns:
        The event, or None if it is Stripe's but not of the three kinds that tell of reports: answer 200 all the same.

    Raises:
        WebhookRefused: it is not Stripe's, too old, or not an event: answer 400.
        ConfigurationError: there is no secret.
    """
    event = read_delivery(payload, signature_header, secrets, tolerance)
    return event if isinstance(event, ReportEvent) else None


def read_delivery(
    payload: bytes, signature_header: str | None, secrets: Sequence[str], tolerance: int
) -> ReportEvent | OtherEvent:
    """See `verify_event`. Events that do not tell of reports are acknowledged too: sent again, they say no more."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise WebhookRefused("malformed", "The body is not UTF-8.") from None
    _check_signature(text, signature_header, checked_secrets(secrets), tolerance)
    try:
        event = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise WebhookRefused("malformed", "The body is signed but not JSON.") from None
    return _read(event)


def checked_secrets(secrets: Sequence[str]) -> tuple[str, ...]:
    """Endpoint secrets that can be used.

    Raises:
        ConfigurationError: there is no secret, or one that cannot be right. The message does not show it.
    """
    found = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    if not found:
        raise ConfigurationError("webhook_secrets is empty; set the endpoint's secret, whsec_....")
    for secret in found:
        if not isinstance(secret, str) or not secret or any(character.isspace() for character in secret):
            raise ConfigurationError("webhook_secrets holds an empty secret or one with spaces; it must be whsec_....")
        if secret.startswith(("sk_", "rk_", "pk_")):
            raise ConfigurationError("webhook_secrets holds an API key; it must be an endpoint secret, whsec_....")
    return found


def _check_signature(text: str, header: str | None, secrets: Sequence[str], tolerance: int) -> None:
    import stripe  # an extra, and slow to import

    for secret in secrets:
        try:
            # without a tolerance first, so that a sender without the secret learns nothing but "bad signature"
            stripe.WebhookSignature.verify_header(text, header or "", secret)
        except (stripe.SignatureVerificationError, TypeError):  # TypeError: a signature that is not ASCII
            continue
        try:
            stripe.WebhookSignature.verify_header(text, header or "", secret, tolerance)
        except stripe.SignatureVerificationError:
            raise WebhookRefused("too_old", f"The signature is more than {tolerance} s old.") from None
        return
    # not within an except block: the library's error holds the body, and would be chained
    raise WebhookRefused("bad_signature", "The body is not signed with this endpoint's secret.")


def _read(event: Any) -> ReportEvent | OtherEvent:
    try:
        identity, kind = _matching(event, "id", _ID), _text(event, "type")
        if event.get("object") == THIN or kind not in get_args(EventKind):
            return OtherEvent(kind, event.get("object") == THIN)
        about = event["data"]["object"]
        of_run = kind.startswith("reporting.report_run.")
        return ReportEvent(
            id=identity,
            kind=kind,  # type: ignore[arg-type]  # checked above
            report_type=_matching(about, "report_type" if of_run else "id", _REPORT_TYPE),
            run_id=_matching(about, "id", _ID) if of_run else None,
            account=_account(event),
            livemode=_livemode(event),
            created=_created(event),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WebhookRefused("malformed", "The body is signed but not an event.") from None


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not value.isprintable():
        raise ValueError(name)
    return value


def _matching(data: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    """Text that can go into a path, an address and a log."""
    value = _text(data, name)
    if not form.fullmatch(value):
        raise ValueError(name)
    return value


def _account(event: Mapping[str, Any]) -> str | None:
    """Connect names the account itself, an organisation's event its context, a path that ends with the account.

    See https://docs.stripe.com/api/events/object and https://docs.stripe.com/context.
    """
    if event.get("account") is not None:
        return _matching(event, "account", _ID)
    return account_of(_matching(event, "context", _CONTEXT)) if event.get("context") is not None else None


def _livemode(event: Mapping[str, Any]) -> bool:
    value = event.get("livemode", False)
    if not isinstance(value, bool):
        raise ValueError("livemode")
    return value


def _created(event: Mapping[str, Any]) -> int:
    value = event["created"]
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:  # a bool is an int, but not a time
        raise ValueError("created")
    return value


def _refuse(constant: str) -> Any:
    """NaN and Infinity, which Python takes for JSON."""
    raise ValueError(constant)
