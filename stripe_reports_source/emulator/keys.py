"""API keys: whose they are, and what they may see. Pure.

In: a key as it was sent. Out: its mode and account, or an `ApiError` with Stripe's words.
"""

from __future__ import annotations

from collections.abc import Mapping

from .settings import EmulatorSettings
from .validation import ApiError

LIVE = "live"


def owner_of(key: str | None, settings: EmulatorSettings) -> tuple[bool, str]:
    """Authenticate: whether it is a live key, and its account, "" for the keys that share one.

    Raises:
        ApiError: there is no such key, or it may do nothing.
    """
    if not key:
        raise ApiError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    if key in settings.powerless_keys:
        raise ApiError(
            403,
            f"The provided key '{key[:7]}*' does not have the required permissions for this endpoint. "
            "Having the 'report_runs_and_report_types_read' permission would allow this request to "
            "continue.",
        )
    if key not in (*settings.live_keys, *settings.test_keys):
        raise ApiError(401, f"Invalid API Key provided: {key[:7]}{'*' * 12}{key[-4:]}")
    return key in settings.live_keys, settings.accounts.get(key, "")


def account_of(key: str | None, headers: Mapping[str, str]) -> str | None:
    """The account that a request is about: its `Stripe-Account`, or the last part of its `Stripe-Context`.

    Raises:
        ApiError: an organisation's key came without `Stripe-Context` or `Stripe-Version`, which it needs
            (https://docs.stripe.com/keys/organization-api-keys), or a request with two accounts.
    """
    account, context = headers.get("stripe-account"), headers.get("stripe-context")
    if account and context:
        raise ApiError(400, "You cannot use both the Stripe-Account and the Stripe-Context header.")  # unverified text
    if (key or "").startswith("sk_org_"):
        for name in ("Stripe-Context", "Stripe-Version"):
            if not headers.get(name.lower()):
                raise ApiError(400, f"Organization API keys need the {name} header.")  # unverified text
    return context.rpartition("/")[2] if context else account


def business_of(live: bool, owner: str) -> str:
    """The name of an account's business in a mode. `owner`: the account, "" for the keys that share one."""
    return (LIVE if live else "test") + (f"@{owner}" if owner else "")


def business_seen(scope: str) -> str:
    """Whose business a scope sees: that of the account that was asked for, or of the key's own."""
    business, _, account = scope.partition(":")
    return f"{business}/{account}" if account else business
