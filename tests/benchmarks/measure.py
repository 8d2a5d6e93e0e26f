"""Whole processes, measured: wall seconds by a clock around the process, processor seconds, peak memory.

In: a command. Out: `Measured`. Pairs are run A B A B, so that both sides meet the same weather.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("SOURCES__", "DLT_", "PYTHONDONTWRITEBYTECODE")
"""Of the environment: without bytecode each process would compile all that it imports, which no user's does."""
_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Measured:
    """One process. `said` is what a worker of ours wrote about itself, `samples` are (second, own, file bytes)."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)


class CommandFailed(Exception):
    """A measured process did not end well; holds the end of what it printed."""


def worker(what: str, **arguments: Any) -> list[str]:
    """The command for a function of `workers`."""
    return [sys.executable, "-m", "tests.benchmarks.workers", what, json.dumps(arguments, default=str)]


def measure(command: Sequence[str], folder: Path, *, profile: bool = False) -> Measured:
    """Run a command in a folder, which also is its home for dlt and temporary files.

    Args:
        command: what to run.
        folder: where.
        profile: look at its memory twenty times a second.

    Raises:
        CommandFailed: it ended with another code than 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    said, log = folder / "said.json", folder / "output.log"
    said.unlink(missing_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)},
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "TMPDIR": str(scratch),
        "BENCHMARK_SAID": str(said),
        **({"BENCHMARK_PROFILE": "1"} if profile else {}),
    }
    os.sync()  # what was written before is not to be waited for now
    launched = subprocess.run(
        [sys.executable, "-I", "-S", str(_LAUNCHER), str(log), *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    result = json.loads(launched.stdout)
    if result.pop("exit_code") != 0:
        raise CommandFailed(f"{' '.join(command)[:400]}\n{log.read_text(errors='replace')[-3000:]}")
    return Measured(**result, said=json.loads(said.read_text()) if said.exists() else {})


def at_once(commands: Sequence[tuple[Sequence[str], Path]]) -> Measured:
    """Run commands at the same time, each in a folder of its own: seconds of all together, the largest peak memory."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(commands)) as threads:
        measured = list(threads.map(lambda each: measure(*each), commands))
    seconds = time.monotonic() - began
    processor = sum(process.cpu_seconds for process in measured)
    return Measured(seconds, processor, max(process.peak_bytes for process in measured))


@dataclass
class Pairs:
    """Measurements of a thing and of its reference, taken in turns."""

    ours: list[Measured] = field(default_factory=list)
    reference: list[Measured] = field(default_factory=list)

    def run(self, count: int, ours: Callable[[], Measured], reference: Callable[[], Measured]) -> Pairs:
        """Take `count` pairs, reference first."""
        for _ in range(count):
            self.reference.append(reference())
            self.ours.append(ours())
        return self

    def figures(self) -> dict[str, Any]:
        """Medians of seconds, their ratio, the ratios of each pair, and peak memory."""
        seconds, base = median_seconds(self.ours), median_seconds(self.reference)
        return {
            "pairs": len(self.ours),
            "seconds": round(seconds, 3),
            "reference_seconds": round(base, 3),
            "ratio": round(seconds / base, 2),
            "ratio_of_pairs": [
                round(own.seconds / other.seconds, 2) for own, other in zip(self.ours, self.reference, strict=True)
            ],
            "cpu_seconds": round(statistics.median(process.cpu_seconds for process in self.ours), 3),
            "reference_cpu_seconds": round(statistics.median(process.cpu_seconds for process in self.reference), 3),
            "peak_mb": megabytes(self.ours),
            "reference_peak_mb": megabytes(self.reference),
        }


def median_seconds(measured: Sequence[Measured]) -> float:
    """The median of wall seconds."""
    return statistics.median(process.seconds for process in measured)


def megabytes(measured: Sequence[Measured]) -> int:
    """The largest peak memory, in millions of bytes."""
    return round(max(process.peak_bytes for process in measured) / 1e6)


def by_stage(measured: Measured) -> list[dict[str, Any]]:
    """How long each stage of a load took, and the most memory in it: its own, and pages of mapped files."""
    begins = sorted((second, stage) for stage, second in measured.said.get("stages", {}).items())
    begins = [(0.0, "start"), *begins]
    stages = []
    for (start, stage), end in zip(begins, [*(second for second, _ in begins[1:]), measured.seconds], strict=True):
        inside = [sample for sample in measured.samples if start <= sample[0] < end] or [(0.0, 0, 0)]
        stages.append(
            {
                "from": stage,
                "seconds": round(end - start, 2),
                "own_mb": round(max(own for _, own, _ in inside) / 1e6),
                "file_mb": round(max(mapped for _, _, mapped in inside) / 1e6),
            }
        )
    return stages
