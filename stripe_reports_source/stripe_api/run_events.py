"""What webhooks say of report runs, for the workers that wait for them.

In: run ids, from whoever receives Stripe's events. Out: the worker that waits for such a run wakes up and asks Stripe
for it: an event is a hint, the truth is read from the API. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

REMEMBERED = 1000
"""Announcements that nobody has waited for yet: Stripe may report a run before it has answered its creation."""
LONGEST_POLL = 60.0
FIRST_POLL = 5.0


class RunNews:
    """Announcements of finished runs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._announced: OrderedDict[str, None] = OrderedDict()

    def announce(self, run_id: str) -> None:
        """Say that a run has ended. The last announcements are remembered for those who come later."""
        with self._changed:
            self._announced[run_id] = None
            self._announced.move_to_end(run_id)
            while len(self._announced) > REMEMBERED:
                self._announced.popitem(last=False)
            self._changed.notify_all()

    def wait(self, run_id: str, seconds: float, stop: threading.Event) -> None:
        """Wait until a run is announced, for `seconds` at most, or until `stop` is set and `wake` was called."""
        with self._changed:
            self._changed.wait_for(lambda: run_id in self._announced or stop.is_set(), seconds)
            # once told, it counts once: if Stripe's answer is behind its event, the next wait is a real one
            self._announced.pop(run_id, None)

    def wake(self) -> None:
        """Make those who wait look at their `stop`."""
        with self._changed:
            self._changed.notify_all()


def next_poll(elapsed: float) -> float:
    """Seconds to the next poll where news are expected: a lost event at most doubles the time of its run.

    Args:
        elapsed: seconds waited for this run so far.
    """
    return min(max(FIRST_POLL, elapsed), LONGEST_POLL)
