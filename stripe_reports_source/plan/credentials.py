"""Whose data, and with which key: the settings that say so, checked. Pure.

In: arguments of `stripe_reports`. Out: the same values, or a `ConfigurationError`, which never shows the key.
"""

from __future__ import annotations

import logging
import re

from ..errors import ConfigurationError

logger = logging.getLogger(__name__)

_ACCOUNT = r"acct_[A-Za-z0-9_]+"
_WRONG_KEYS = {
    "pk_": "a publishable key (pk_...); reports need a restricted or secret key.",
    "whsec_": "a webhook's signing secret (whsec_...); reports need a restricted or secret key.",
    "acct_": "an account's id (acct_...); reports need a restricted or secret key.",
}


def checked_key(api_key: str) -> str:
    """A key that Stripe could have given out; warns of a full secret key."""
    key = api_key.strip()
    if not key or any(character.isspace() for character in key):
        raise ConfigurationError(
            "api_key is empty or holds spaces; set a Stripe key such as rk_live_... or sk_test_...."
        )
    for prefix, what in _WRONG_KEYS.items():
        if key.startswith(prefix):
            raise ConfigurationError(f"api_key is {what}")
    if key[0] in "'\"`" or key[-1] in "'\"`":
        raise ConfigurationError("api_key has quotes around it; set the key alone.")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", key) or ".." in key:
        raise ConfigurationError(
            "api_key is a placeholder, or a part of a key; set the whole key that Stripe's Dashboard shows."
        )
    if key.startswith("sk_live_"):
        logger.warning("api_key is a full secret key; a restricted key (rk_live_...) with report permissions is safer.")
    return key


def check_account(api_key: str, stripe_account: str | None, stripe_context: str | None) -> None:
    """Refuse two accounts at once, and a key of an organisation that is not told which account is meant.

    Stripe wants a Stripe-Context with each request that is made with an organisation's key, sk_org_...
    (https://docs.stripe.com/keys/organization-api-keys).
    """
    if stripe_account is not None and stripe_context is not None:
        raise ConfigurationError("stripe_account and stripe_context are both set; set one of them.")
    if api_key.startswith("sk_org_") and stripe_context is None:
        raise ConfigurationError(
            "api_key is an organisation's key (sk_org_...), which needs stripe_context: the id of one of its accounts."
        )


def account_label(account: str) -> str:
    """A label that can be part of a cell's key."""
    if not account or "|" in account or not account.isprintable():
        raise ConfigurationError(f"account {account!r} must be a short label without '|', such as 'us'.")
    return account


def account_id(account: str | None, setting: str) -> str | None:
    """A Stripe account id, or None."""
    if account is not None and not re.fullmatch(_ACCOUNT, account):
        raise ConfigurationError(f"{setting} {account!r} must be a Stripe account id, acct_....")
    return account


def connected_in(lane: str, label: str) -> str | None:
    """The connected account of a lane, `label/acct_...`; None for a lane of another label, which may have slashes."""
    account = lane.removeprefix(f"{label}/")
    return account if account != lane and re.fullmatch(_ACCOUNT, account) else None


def context_path(context: str | None) -> str | None:
    """A Stripe-Context value, or None: an account's id, after those of the accounts above it, joined by slashes.

    The form is that of https://docs.stripe.com/context; the path begins below the key's own account or organisation.
    """
    if context is not None and not re.fullmatch(rf"{_ACCOUNT}(/{_ACCOUNT})*", context):
        raise ConfigurationError(
            f"stripe_context {context!r} must be an account's id, acct_..., or a path such as acct_1/acct_2."
        )
    return context


def account_of(context: str) -> str:
    """The id of the account that a Stripe-Context or Stripe-Account value names."""
    return context.rpartition("/")[2]
