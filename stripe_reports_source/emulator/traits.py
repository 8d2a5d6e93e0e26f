"""What a business can have that makes its reports hard to reconcile. Data only."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_TRAITS = (
    "reserves",
    "minimum_balance",
    "failed_payouts",
    "negative_payouts",
    "transit",
    "moving_arrivals",
    "late_word",
)
"""Traits of every business that is not told otherwise.

Its reports agree. What is filled in late is within a lookback of three days, but for rows whose funds wait to be
positive again.
"""
TRAITS: Mapping[str, str] = {
    "reserves": "funds are held back against risk and released two weeks later",
    "minimum_balance": "a minimum balance is held on Mondays and released on Thursdays",
    "failed_payouts": "the bank sends a payout back; the returned funds are paid again by a later payout",
    "negative_payouts": "funds that stay negative for days are debited from the bank",
    "transit": "a payout arrives, and leaves the balance, up to a day after it was made",
    "moving_arrivals": "the expected arrival date of a payout moves, a day and a half after it was made",
    "late_word": "what becomes of a payout, and the trace of its money, are told when they have come to pass",
    "slow_transit": "a payout arrives up to six days after it was made: columns of old rows fill in late",
    "instant_payouts": "payouts made by hand, which no report reconciles",
}
"""All traits."""


def checked_traits(traits: tuple[str, ...]) -> tuple[str, ...]:
    """The traits themselves.

    Raises:
        ValueError: there is no such trait.
    """
    unknown = sorted(set(traits) - set(TRAITS))
    if unknown:
        raise ValueError(f"unknown trait {unknown[0]!r}: use {', '.join(TRAITS)}.")
    return traits
