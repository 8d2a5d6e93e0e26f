"""One pause for all threads of a key."""

from __future__ import annotations

import pytest

from stripe_reports_source.stripe_api.back_pressure import SPACING, BackPressure


def test_new_requests_wait_for_the_pause_one_after_another() -> None:
    now = [100.0]
    pressure = BackPressure(lambda: now[0])
    assert pressure.turn() == 0
    assert pressure.told(2.0) == 2.0
    now[0] += 0.5
    assert pressure.turn() == 1.5
    assert pressure.turn() == pytest.approx(1.5 + SPACING)
    now[0] += 10
    assert pressure.turn() == 0


def test_the_longest_pause_counts() -> None:
    now = [100.0]
    pressure = BackPressure(lambda: now[0])
    pressure.told(7.0)
    now[0] += 1
    assert pressure.told(0.5) == 6.0
    assert pressure.told(8.0) == 8.0
    assert pressure.turn() == 8.0
