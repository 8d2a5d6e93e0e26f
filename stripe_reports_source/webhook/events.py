"""Stripe's events about reports: verified, and cut down to what a sync needs to know.

In: the raw body of a request, its `Stripe-Signature`, the endpoint's secrets. Out: a `ReportEvent`. Nothing else of the
body is kept, and no error quotes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ..errors import ConfigurationError, WebhookRefused

EventKind = Literal[
    "reporting.report_type.updated",  # Stripe has new data of a report type
    "reporting.report_run.succeeded",
    "reporting.report_run.failed",
]
TOLERANCE = 300
"""Seconds that a signature may be old, as in Stripe's libraries."""


@dataclass(frozen=True)
class ReportEvent:
    """An event of Stripe's about reports. What it is about is read again from the API.

    Args:
        id: `evt_...`; Stripe may send an event more than once.
        kind: Stripe's event type.
        report_type: exact id, `balance.summary.1`.
        run_id: `frr_...`, for events about runs.
        account: the connected account that the event happened on; None for the endpoint's own.
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
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise WebhookRefused("malformed", "The body is not UTF-8.") from None
    _check_signature(text, signature_header, checked_secrets(secrets), tolerance)
    try:
        event = json.loads(text)
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


def _read(event: Any) -> ReportEvent | None:
    try:
        identity, kind = _text(event, "id"), _text(event, "type")
        if kind not in get_args(EventKind):
            return None
        about = event["data"]["object"]
        of_run = kind.startswith("reporting.report_run.")
        return ReportEvent(
            id=identity,
            kind=kind,  # type: ignore[arg-type]  # checked above
            report_type=_text(about, "report_type" if of_run else "id"),
            run_id=_text(about, "id") if of_run else None,
            account=_text(event, "account") if event.get("account") else None,
            livemode=bool(event.get("livemode")),
            created=int(event["created"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WebhookRefused("malformed", "The body is signed but not an event.") from None


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise ValueError(name)
    return value
