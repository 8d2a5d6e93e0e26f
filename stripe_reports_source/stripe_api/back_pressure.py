"""One pause for all threads of a key: Stripe counts requests by key, so that all wait when one is told to.

In: that Stripe has asked for fewer requests (429), and for how long. Out: how long each request is to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

SPACING = 0.02
"""Seconds between requests that a pause has held up: all at once they would be refused again."""


class BackPressure:
    """See the module. `clock` gives seconds that pass. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until = clock()

    def told(self, seconds: float) -> float:
        """Note that Stripe wants a pause; how long whoever was told is to wait, which others may have been longer."""
        with self._lock:
            now = self._clock()
            if self._until > now + seconds:
                return self._until - now
            self._until = now + seconds
            return seconds

    def turn(self) -> float:
        """Seconds that a new request is to wait: 0 where there is no pause."""
        with self._lock:
            now, turn = self._clock(), self._until
            if turn <= now:
                return 0.0
            self._until = turn + SPACING
            return turn - now
