"""Runs one command and prints what it took: a line of JSON. Started by itself, with no imports it can do without.

Linux counts the memory of the process that starts another one to that other one (its peak is kept across exec),
so a benchmark that has loaded Arrow would measure itself. This launcher is small, and starts nothing else.

    python -I -S launcher.py OUTPUT COMMAND...
"""

import json
import os
import sys
import time

SAMPLE_SECONDS = 0.05


def main(output: str, command: "list[str]") -> None:
    """Measure `command`; what it prints goes to the file `output`. BENCHMARK_PROFILE samples its memory, too."""
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    files = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    profile = "BENCHMARK_PROFILE" in os.environ
    samples = []
    began = time.monotonic()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=files)
    ended, status, used = os.wait4(process, os.WNOHANG if profile else 0)
    while not ended:
        samples.append([time.monotonic() - began, *memory_of(process)])
        time.sleep(SAMPLE_SECONDS)
        ended, status, used = os.wait4(process, os.WNOHANG)
    seconds = time.monotonic() - began
    kilobyte = 1024 if sys.platform != "darwin" else 1
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_bytes": used.ru_maxrss * kilobyte,
                "exit_code": os.waitstatus_to_exitcode(status),
                "samples": samples,
            }
        )
    )


def memory_of(process: int) -> "tuple[int, int]":
    """Resident bytes of a process: its own, and pages of files that it has mapped, which cost no process memory."""
    try:
        with open(f"/proc/{process}/status", encoding="ascii") as lines:
            sizes = dict(line.split(":", 1) for line in lines)
        return int(sizes["RssAnon"].split()[0]) * 1024, int(sizes["RssFile"].split()[0]) * 1024
    except (OSError, KeyError):  # it has just ended, or this is not Linux
        return 0, 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
