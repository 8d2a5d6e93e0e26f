"""Play schedules of trouble and print what came of them as JSON.

python -m tests.faults --schedules 100 --seed 1 --destination duckdb
python -m tests.faults --seed 4711 --schedules 1          # one seed alone
python -m tests.faults --plant "no tombstone" --schedules 20   # does the harness find it?
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path


def main() -> int:
    """Exit code 0 when nothing was found."""
    # imported here, because each process of a sync imports this module first
    from tests.conftest import postgres_server
    from tests.faults.harness import Player, processes
    from tests.faults.schedule import make_schedule
    from tests.faults.worker import PLANTS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--destination", choices=["duckdb", "postgres"], default="duckdb")
    parser.add_argument("--kills", action="store_true", help="kill a process in each schedule")
    parser.add_argument("--plant", action="append", choices=sorted(PLANTS), default=[], help="a fault of the loader")
    parser.add_argument("--stop", action="store_true", help="stop at the first seed that finds something")
    parser.add_argument("--folder", type=Path, help="where failing schedules leave their files")
    asked = parser.parse_args()
    began = time.monotonic()
    total: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {"faults": Counter(), "kill points": Counter(), "endings": Counter()}
    failing = []
    with ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stripe-reports-faults-")))
        postgres = stack.enter_context(postgres_server()) if asked.destination == "postgres" else None
        player = Player(processes(), folder, postgres, tuple(asked.plant))
        # asked to end early, it still says what it has found
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        for seed in range(asked.seed, asked.seed + asked.schedules):
            played = player.play(make_schedule(seed, asked.destination, kills=asked.kills))
            total.update(
                {name: value for name, value in vars(played.findings).items() if isinstance(value, int)},
                schedules=1,
                kills=played.kills,
                schedules_with_kills=int(played.kills > 0),
                crossings=played.crossings,
                sightings=played.sightings,
                runs=played.runs,
            )
            kinds["faults"] += played.faults
            kinds["kill points"] += played.kill_points
            kinds["endings"] += played.endings
            if not played.findings.clean:
                failing.append(seed)
                print(f"seed {seed}: " + "; ".join(played.findings.details[:5]), file=sys.stderr, flush=True)
                if asked.stop:
                    break
    summary = {
        "destination": asked.destination,
        "first_seed": asked.seed,
        "planted": asked.plant,
        **total,
        **{name: dict(sorted(found.items())) for name, found in kinds.items()},
        "failing_seeds": failing,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(summary, indent=2))
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
