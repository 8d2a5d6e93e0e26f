"""What became of a delivery, and the HTTP status that says so to Stripe.

Stripe takes any status but 2xx for a failure, redirects included, and sends the event again for up to three days
(https://docs.stripe.com/webhooks#retries).
"""

from __future__ import annotations

from typing import Literal

Outcome = Literal[
    "accepted",  # on disk, and the worker knows
    "duplicate",  # on disk already
    "irrelevant",  # signed, but not about reports
    "bad_signature",
    "too_old",
    "malformed",
    "too_large",
    "too_slow",
    "busy",  # more at once than it takes
    "not_kept",  # the inbox cannot be written; Stripe sends the event again
]
STATUS: dict[Outcome, int] = {
    "accepted": 200,
    "duplicate": 200,
    "irrelevant": 200,
    "bad_signature": 400,
    "too_old": 400,
    "malformed": 400,
    "too_slow": 408,
    "too_large": 413,
    "busy": 503,
    "not_kept": 503,
}
