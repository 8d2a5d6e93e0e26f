"""The command `stripe-reports webhook` as a process that tests start, kill, stop and look into."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import requests

from stripe_reports_source.emulator import Emulator

STOP_SECONDS = 60.0


class Receiver:
    """The command in a process of its own, started again and again on the same files and port."""

    def __init__(self, emulator: Emulator, folder: Path, *arguments: str) -> None:
        """`arguments`: reports and options of the command."""
        self._folder = folder
        self._arguments = arguments
        self.secret = "whsec_of_a_process"
        self.database = folder / "warehouse.duckdb"
        self.inbox = folder / "inbox.sqlite"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._environment = {
            **os.environ,
            "SOURCES__STRIPE_REPORTS__API_KEY": emulator.settings.live_keys[0],
            "SOURCES__STRIPE_REPORTS__API_BASE_URL": emulator.api_url,
            "SOURCES__STRIPE_REPORTS__FILES_BASE_URL": emulator.files_url,
            "SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS": f"whsec_older,{self.secret}",
            "DESTINATION__DUCKDB__CREDENTIALS": str(self.database),
            "DLT_DATA_DIR": str(folder / "dlt"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; deliveries that come meanwhile are refused, and come again."""
        with (self._folder / "receiver.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "stripe_reports_source.cli", "webhook", *self._arguments),
                    *("--port", str(self._port), "--inbox", str(self.inbox)),
                ],
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS)

    def events(self) -> dict[str, str]:
        """What became of each event in its inbox."""
        with closing(sqlite3.connect(f"file:{self.inbox}?mode=ro", uri=True, timeout=30)) as inbox:
            return dict(inbox.execute("SELECT id, standing FROM events").fetchall())

    def metric(self, name: str) -> float | None:
        """The sum of a metric; None while it does not answer."""
        try:
            text = requests.get(f"{self.url}/metrics", timeout=10).text
        except requests.RequestException:
            return None
        values = [
            line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(f"stripe_reports_webhook_{name}")
        ]
        return sum(map(float, values))
