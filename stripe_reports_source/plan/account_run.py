"""By which an archive knows whose files it has under a label: a report run, which its account alone knows. Pure.

In: a label, its mode, a run. Out: a file's name and content, and the value again from that name.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

FOLDER = "accounts"
OLD = timedelta(days=30)
"""After which a newer run is noted: Stripe need not know a run for ever."""
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class AccountRun:
    """A run of the account whose files lie under a label. Live and test data of a label are noted each for itself.

    Args:
        label: the `_account` value.
        livemode: whether it is live data.
        run_id: of the run.
        created: when the run was made.
    """

    label: str
    livemode: bool
    run_id: str
    created: datetime

    @property
    def path(self) -> str:
        """Its file, from the archive's root."""
        created = self.created.astimezone(timezone.utc).strftime(_TIME)
        return f"{FOLDER}/{_digits(self.label, self.livemode)}-{created}-{self.run_id}.json"

    def content(self) -> bytes:
        """What is written there, for people: its name says what is needed."""
        told = {
            "account": self.label,
            "livemode": self.livemode,
            "run_id": self.run_id,
            "created": self.created.astimezone(timezone.utc).isoformat(),
        }
        return json.dumps(told, indent=1, ensure_ascii=False).encode()


def account_run(name: str, label: str, livemode: bool) -> AccountRun | None:
    """The run that a file of this name notes; None for one of another label or mode."""
    found = re.fullmatch(rf"{_digits(label, livemode)}-(\d{{8}}T\d{{6}}Z)-(\w+)\.json", name)
    if found is None:
        return None
    created = datetime.strptime(found[1], _TIME).replace(tzinfo=timezone.utc)
    return AccountRun(label, livemode, found[2], created)


def _digits(label: str, livemode: bool) -> str:
    return hashlib.sha256(json.dumps([label, livemode]).encode()).hexdigest()[:12]
