"""Bounds of what strangers can make a receiver do, and of how soon it tries again what failed. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one request may cost.

    Args:
        body_bytes: bytes of a body; Stripe's events about reports have some 2 kB.
        body_seconds: seconds for a whole body to come in.
        at_once: deliveries worked on at the same time.
        keep_seconds: seconds for the inbox to be written; Stripe waits for some 20 s in all.
    """

    body_bytes: int = 1 << 20
    body_seconds: float = 10.0
    at_once: int = 64
    keep_seconds: float = 8.0


@dataclass(frozen=True)
class Connections:
    """What the command line's server lets connections cost.

    Args:
        at_most: open at the same time; those above are dropped.
        seconds: how long a connection may live, whatever it does.
        header_bytes: bytes of a request's first line and headers.
    """

    at_most: int = 256
    seconds: float = 30.0
    header_bytes: int = 32 << 10


@dataclass(frozen=True)
class RetryDelays:
    """Seconds before a table that failed is synced again: `first`, then twice as long each time, `longest` at most."""

    first: float = 15.0
    longest: float = 1800.0

    def after(self, previous: float | None) -> float:
        """The next delay; `previous` is the last one, None after a first failure."""
        return self.first if previous is None else min(2 * previous, self.longest)
