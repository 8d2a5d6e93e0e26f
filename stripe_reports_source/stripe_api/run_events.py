"""What webhooks say of report runs, for the workers that wait for them.

In: run ids, from whoever receives Stripe's events. Out: the worker that waits for such a run wakes up and asks Stripe
for it: an event is only a reason to ask, the truth is read from the API. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import OrderedDict


class RunEvents:
    """Announcements of finished runs.

    Args:
        remembered: how many announcements are kept that nothing has waited for yet: Stripe may report a run before it
            has answered its creation.
    """

    def __init__(self, remembered: int = 1000) -> None:
        self._remembered = remembered
        self._changed = threading.Condition()
        self._announced: OrderedDict[str, None] = OrderedDict()

    def announce(self, run_id: str) -> None:
        """Say that a run has ended. The last announcements are remembered for those who come later."""
        with self._changed:
            self._announced[run_id] = None
            self._announced.move_to_end(run_id)
            while len(self._announced) > self._remembered:
                self._announced.popitem(last=False)
            self._changed.notify_all()

    def wait(self, run_id: str, seconds: float, stop: threading.Event) -> bool:
        """Wait until a run is announced, for `seconds` at most, or until `stop` is set and `wake` was called.

        Returns:
            True if the run was announced. An announcement counts once: if Stripe's answer is behind its event, the
            next wait is a real one.
        """
        with self._changed:
            self._changed.wait_for(lambda: run_id in self._announced or stop.is_set(), seconds)
            announced = run_id in self._announced
            self._announced.pop(run_id, None)
            return announced

    def wake(self) -> None:
        """Make those who wait look at their `stop`."""
        with self._changed:
            self._changed.notify_all()
