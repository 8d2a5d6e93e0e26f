"""Log records as JSON lines, fit to be kept: without keys, secrets and values of reports.

In: records of Python's logging. Out: a line each. What other libraries say is cut to where and how bad it was, since
a database's error may quote a row.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import datetime, timezone
from typing import TextIO

PACKAGE = "stripe_reports_source"
_SECRET = re.compile(r"\b(sk|rk|pk|whsec)_\w+")
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """See the module."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name.partition(".")[0] in (PACKAGE, "uvicorn"):
            line["message"] = record.getMessage()
            line |= {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}
        else:
            line["where"] = f"{record.module}:{record.lineno}"
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return _SECRET.sub(r"\1_[removed]", json.dumps(line, default=str))


def log_as_json(verbose: bool, stream: TextIO | None = None) -> None:
    """Send all logging of this process to a stream, stderr by default, as JSON lines.

    Args:
        verbose: each step of each report run, too.
        stream: where to.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(PACKAGE).setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger(f"{PACKAGE}.webhook").setLevel(logging.INFO)
    # dlt's own logger does not pass its records on
    dlts = logging.getLogger("dlt")
    dlts.handlers[:] = []
    dlts.propagate = True
