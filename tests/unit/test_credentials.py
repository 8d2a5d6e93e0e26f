"""Keys that cannot be one and accounts that are not clear are refused before Stripe is asked."""

from __future__ import annotations

import pytest

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.plan.credentials import (
    account_label,
    account_of,
    check_account,
    checked_key,
    connected_in,
    context_path,
)


@pytest.mark.parametrize("key", ["rk_live_abc", "sk_test_abc", "sk_org_live_abc", " rk_live_abc\n", "proxy-token.1"])
def test_keys(key: str) -> None:
    assert checked_key(key) == key.strip()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "empty or holds spaces"),
        ("rk_live_a b", "empty or holds spaces"),
        ("pk_live_abc", "a publishable key"),
        ("whsec_abc", "a webhook's signing secret"),
        ("acct_123", "an account's id"),
        ('"rk_live_abc"', "quotes around it"),
        ("'rk_live_abc", "quotes around it"),
        ("rk_live_...", "a placeholder"),
        ("rk_live_…", "a placeholder"),
        ("rk_live_****abcd", "a placeholder"),
        ("<your key>", "empty or holds spaces"),
        ("${STRIPE_KEY}", "a placeholder"),
        ("rk_live_abcé", "a placeholder"),
    ],
)
def test_what_cannot_be_a_key(key: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        checked_key(key)
    assert not key or key not in str(caught.value).replace("rk_live_... or", "")


def test_an_organisations_key_says_on_which_account_it_acts() -> None:
    check_account("sk_org_live_abc", None, "acct_1/acct_2")
    with pytest.raises(ConfigurationError, match="needs stripe_context"):
        check_account("sk_org_live_abc", None, None)
    with pytest.raises(ConfigurationError, match="needs stripe_context"):
        check_account("sk_org_live_abc", "acct_1", None)
    with pytest.raises(ConfigurationError, match="both set"):
        check_account("rk_live_abc", "acct_1", "acct_2")


def test_contexts() -> None:
    for context in ("acct_1", "acct_1/acct_2", "acct_1/acct_2/acct_3"):
        assert context_path(context) == context
    assert context_path(None) is None
    assert account_of("acct_1/acct_2") == "acct_2"
    for wrong in ("", "me", "acct_1/", "/acct_1", "acct_1//acct_2", "acct_1/org_2", "acct_1\nX: y", "acct_é"):
        with pytest.raises(ConfigurationError, match="stripe_context"):
            context_path(wrong)


def test_a_label_has_no_control_characters() -> None:
    with pytest.raises(ConfigurationError, match="short label"):
        account_label("us\x1b[31m")


def test_a_lane_is_of_a_connected_account_or_of_another_label() -> None:
    assert connected_in("us/acct_1", "us") == "acct_1"
    assert connected_in("us/east/acct_1", "us/east") == "acct_1"
    for lane in ("us", "us/east", "us/east/acct_1", "other/acct_1", "acct_1"):
        assert connected_in(lane, "us") is None
