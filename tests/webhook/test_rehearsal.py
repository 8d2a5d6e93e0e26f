"""A short rehearsal: real processes, spoiled deliveries, kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.webhook.rehearsal import Plan, rehearse

pytestmark = pytest.mark.long


@pytest.mark.timeout(400)
def test_a_short_rehearsal_finds_nothing_wrong(tmp_path: Path) -> None:
    found = rehearse(Plan(events=60, kills=2, seed=5), tmp_path)
    assert found["clean"], found
    assert found["true_events"] >= 60
    assert sum(found["kills_done"].values()) == 2
    assert found["spoiled"]["bad_signature"] > 0
