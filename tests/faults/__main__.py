"""Play schedules of trouble and print what came of them as JSON.

python -m tests.faults --schedules 100 --seed 1 --destination duckdb --jobs 2
python -m tests.faults --seed 4711 --schedules 1          # one seed alone
python -m tests.faults --kills --plain --until-kills 200  # by `pipeline.run`, until so many processes were killed
python -m tests.faults --workers --schedules 100          # by `plan_cells`, `fetch_cell`, `load_cells`
python -m tests.faults --plant "no tombstone" --schedules 20   # does the harness find it?
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any


def main() -> int:
    """Exit code 0 when nothing was found."""
    # imported here, because each process of a sync imports this module first
    from tests.conftest import postgres_server
    from tests.faults.harness import Player, processes
    from tests.faults.schedule import make_schedule

    asked = _arguments()
    began = time.monotonic()
    summary = _Summary()
    with ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stripe-reports-faults-")))
        postgres = stack.enter_context(postgres_server()) if asked.destination == "postgres" else None
        player = Player(processes(), folder, postgres, tuple(asked.plant))

        def play(seed: int) -> Any:
            return player.play(
                make_schedule(seed, asked.destination, kills=asked.kills, plain=asked.plain, workers=asked.workers)
            )

        # asked to end early, it still says what it has found
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        seeds = iter(range(asked.seed, sys.maxsize if asked.until_kills else asked.seed + asked.schedules))
        try:
            for seed, played in _side_by_side(asked.jobs, seeds, play):
                summary.add(seed, played)
                if (asked.stop and summary.failing) or summary.total["kills"] >= (asked.until_kills or sys.maxsize):
                    break
        except KeyboardInterrupt:
            summary.total["ended_early"] = 1
    head = {
        "destination": asked.destination,
        "first_seed": asked.seed,
        "plain": asked.plain,
        "workers": asked.workers,
        "planted": asked.plant,
    }
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({**head, **summary.as_json(), "seconds": seconds}, indent=2))
    return 1 if summary.failing else 0


def _arguments() -> argparse.Namespace:
    from tests.faults.plants import PLANTS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--until-kills", type=int, help="instead: until so many processes were killed")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--destination", choices=["duckdb", "postgres"], default="duckdb")
    parser.add_argument("--kills", action="store_true", help="kill a process in each schedule")
    parser.add_argument("--plain", action="store_true", help="sync by pipeline.run, not by load_reports")
    parser.add_argument("--workers", action="store_true", help="sync by cells as jobs, with workers that are killed")
    parser.add_argument("--plant", action="append", choices=sorted(PLANTS), default=[], help="a fault of the loader")
    parser.add_argument("--stop", action="store_true", help="stop at the first seed that finds something")
    parser.add_argument("--jobs", type=int, default=1, help="schedules side by side")
    parser.add_argument("--folder", type=Path, help="where failing schedules leave their files")
    return parser.parse_args()


def _side_by_side(jobs: int, seeds: Iterator[int], play: Callable[[int], Any]) -> Iterator[tuple[int, Any]]:
    """Play several seeds at once; gives each as it ends. Those under way are waited for when it is closed."""
    with ThreadPoolExecutor(jobs) as pool:
        playing: dict[Future[Any], int] = {}
        while True:
            while len(playing) < jobs and (seed := next(seeds, None)) is not None:
                playing[pool.submit(play, seed)] = seed
            if not playing:
                return
            for done in wait(playing, return_when=FIRST_COMPLETED).done:
                yield playing.pop(done), done.result()


class _Summary:
    """What came of all schedules."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.failing: list[int] = []
        self._kinds: dict[str, Counter[str]] = {
            name: Counter() for name in ("faults", "kill_points", "plays", "endings")
        }

    def add(self, seed: int, played: Any) -> None:
        """Count a schedule, and say what it has found."""
        findings = {name: value for name, value in vars(played.findings).items() if isinstance(value, int)}
        self.total.update(
            findings,
            schedules=1,
            kills=played.kills,
            schedules_with_kills=int(played.kills > 0),
            crossings=played.crossings,
            sightings=played.sightings,
            runs=played.runs,
        )
        for name, counter in self._kinds.items():
            counter.update(getattr(played, name))
        if not played.findings.clean:
            self.failing.append(seed)
            print(f"seed {seed}: " + "; ".join(played.findings.details[:5]), file=sys.stderr, flush=True)

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        kinds = {name: dict(sorted(found.items())) for name, found in self._kinds.items()}
        return {**self.total, **kinds, "failing_seeds": sorted(self.failing)}


if __name__ == "__main__":
    sys.exit(main())
