"""Just enough of Stripe's Reporting API to serve one large file on loopback, at hardly any cost.

One report type whose result is a file on this disk, sent by the kernel (sendfile), whole or from where a `Range`
begins. `python -m tests.benchmarks.big_stripe` prints its address and serves until its input ends;
`POST /publish` sets file and availability. The project's emulator is the one that behaves like Stripe; this one is
only fast. Standard library alone.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

from .measure import ROOT
from .table import COLUMNS, REPORT

KEY = "rk_test_bench"
MONTH_START = 1_740_787_200
"""2025-03-01 UTC."""
MONTH_END = MONTH_START + 31 * 86_400
PART_BYTES = 1 << 18
"""That are sent at once where a rate is kept."""


@dataclass
class _State:
    file: Path = Path()
    available_end: int = MONTH_END
    updated: int = 0
    rate: float | None = None
    """Bytes a second at which the file is sent; None is as fast as can be."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    earlier: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Runs on files that were published before: known, but not listed, so that they are not adopted."""
    keys: dict[str, str] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)


class BigStripe:
    """The server in a process of its own."""

    def __enter__(self) -> BigStripe:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.big_stripe"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate("")

    def publish(self, file: Path, available_end: int = MONTH_END, rate: float | None = None) -> None:
        """Serve this file from now on, forgetting all runs; the data is complete up to `available_end`.

        `rate`: bytes a second at which it is sent, None for as fast as can be.
        """
        body = json.dumps({"file": str(file), "available_end": available_end, "rate": rate}).encode()
        with urlopen(Request(f"{self.url}/publish", data=body, method="POST")) as answer:
            answer.read()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: _State

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/v1/reporting/report_types":
            self._list([self._type()])
        elif path == "/v1/reporting/report_runs":
            self._list(list(reversed(self.state.runs.values())))
        elif match := re.fullmatch(r"/v1/reporting/report_runs/(\w+)", path):
            self._run(match[1])
        elif match := re.fullmatch(r"/v1/files/(\w+)/contents", path):
            self._send_file()
        else:
            self._json({"error": {"message": f"Unrecognized request URL ({self.path})"}}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/publish":
            self._publish(json.loads(body))
        else:
            self._create_run(parse_qsl(body, keep_blank_values=True))

    def log_message(self, format: str, *args: Any) -> None:
        """It is not read."""

    def _publish(self, wanted: dict[str, Any]) -> None:
        state = self.state
        with state.lock:
            state.file, state.available_end = Path(wanted["file"]), int(wanted["available_end"])
            state.updated, state.rate = int(time.time()), wanted["rate"]
            state.earlier.update(state.runs)
            state.runs.clear()
            state.keys.clear()
        self._json({})

    def _create_run(self, form: list[tuple[str, str]]) -> None:
        parameters: dict[str, Any] = {}
        for name, value in form:
            match = re.fullmatch(r"parameters\[(\w+)\](\[\])?", name)
            if match and match[2]:
                parameters.setdefault(match[1], []).append(value)
            elif match:
                parameters[match[1]] = int(value) if match[1].startswith("interval_") else value
        if (parameters.get("columns") or [])[: len(COLUMNS)] != list(COLUMNS):
            self._json({"error": {"message": "this server has one file, with other columns"}}, 400)
            return
        state, key = self.state, self.headers.get("Idempotency-Key", "")
        with state.lock:
            if key not in state.keys:
                run_id = f"frr_{next(state.numbers):08d}"
                state.keys[key] = run_id
                state.runs[run_id] = {
                    "id": run_id,
                    "object": "reporting.report_run",
                    "created": int(time.time()),
                    "error": None,
                    "livemode": True,
                    "parameters": parameters,
                    "report_type": REPORT,
                    "result": None,
                    "status": "pending",
                    "succeeded_at": None,
                }
            self._json(state.runs[state.keys[key]])

    def _run(self, run_id: str) -> None:
        """The run; it is pending when it is made and has succeeded when it is first asked for."""
        run = self.state.runs.get(run_id) or self.state.earlier.get(run_id)
        if run is None:
            self._json({"error": {"message": f"No such report run: {run_id}"}}, 404)
            return
        if run["status"] == "pending":
            host, port = self.connection.getsockname()[:2]
            file = f"file_{run_id.removeprefix('frr_')}"
            result = {
                "id": file,
                "object": "file",
                "size": self.state.file.stat().st_size,
                "type": "csv",
                "url": f"http://{host}:{port}/v1/files/{file}/contents",
            }
            run.update(result=result, succeeded_at=int(time.time()), status="succeeded")
        self._json(run)

    def _send_file(self) -> None:
        with self.state.file.open("rb") as file:
            size = self.state.file.stat().st_size
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(match[1]) if match else 0
            end = min(size, int(match[2]) + 1) if match and match[2] else size
            if start >= size:
                self._json({}, 416)
                return
            self.send_response(206 if match else 200)
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(end - start))
            self.send_header("Accept-Ranges", "bytes")
            if match:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            try:
                self._send(file, start, end)
            except OSError:
                self.close_connection = True  # whoever asked has gone

    def _send(self, file: BinaryIO, start: int, end: int) -> None:
        """The bytes of a file; at a rate in parts, each of which goes when its time has come."""
        part = end - start if self.state.rate is None else PART_BYTES
        began = time.monotonic()
        for at in range(start, end, part):
            if self.state.rate is not None:
                time.sleep(max(0.0, began + (at - start) / self.state.rate - time.monotonic()))
            self.connection.sendfile(file, at, min(part, end - at))

    def _type(self) -> dict[str, Any]:
        return {
            "id": REPORT,
            "object": "reporting.report_type",
            "data_available_end": self.state.available_end,
            "data_available_start": MONTH_START,
            "default_columns": list(COLUMNS),
            "livemode": True,
            "name": "Itemized balance change from activity",
            "updated": self.state.updated,
            "version": int(REPORT.rpartition(".")[2]),
        }

    def _list(self, data: list[dict[str, Any]]) -> None:
        self._json({"object": "list", "data": data, "has_more": False, "url": urlsplit(self.path).path})

    def _json(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Request-Id", "req_benchmark")
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    """Print the address and serve until the input ends."""
    _Handler.state = _State()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
