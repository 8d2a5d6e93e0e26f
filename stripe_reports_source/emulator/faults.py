"""Faults on order: which answers are spoiled, how, and how often.

In: fault descriptions (JSON of the control address, or `Fault` values). Out: for each request, what to do to it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Address = Literal["api", "files"]
ActionKind = Literal[
    "status",  # answer with status, body, headers instead
    "delay",  # wait `seconds` first
    "reset",  # close the connection without an answer
    "truncate",  # send `bytes` of the body, then close the connection
    "wrong_length",  # serve a file `bytes` shorter than announced, with a matching Content-Length
    "replace",  # serve `body` as the file's content
    "compress",  # serve a file compressed, whatever was asked for
    "ignore_range",  # serve a file whole where a range of it was asked for
    "shift_range",  # serve a range that begins and ends `bytes` earlier than the one asked for, and say so
    "new_etag",  # serve a file with another ETag, as if it had been written anew
    "endless",  # answer a list with its first page, and that there is more
    "kept_error",  # answer the creation of a run with `status` and `body`, and keep that under its idempotency key
    "run_failed",  # the run this request creates ends as failed with `error`
    "run_stuck",  # the run this request creates stays pending until faults are cleared
]


@dataclass
class Fault:
    """One fault.

    Args:
        action: what happens.
        method, path, address: which requests; `path` is a regular expression, searched.
        skip: let so many matching requests pass first.
        times: then spoil so many; None is all.
        status, body, headers, seconds, bytes, error: details of the action.
    """

    action: ActionKind
    method: str | None = None
    path: str = ""
    address: Address | None = None
    skip: int = 0
    times: int | None = 1
    status: int = 500
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0
    error: str = "An internal error occurred."

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Fault:
        """A fault from the control address.

        Raises:
            ValueError: an unknown action or field.
        """
        if data.get("action") not in get_args(ActionKind):
            raise ValueError(f"action must be one of {', '.join(get_args(ActionKind))}")
        try:
            return Fault(**data)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def matches(self, address: Address, method: str, path: str) -> bool:
        """True for a request that this fault is about."""
        return (
            self.address in (None, address) and self.method in (None, method) and re.search(self.path, path) is not None
        )


class FaultBoard:
    """The faults in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Put a fault in force, after those already there."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Lift all faults."""
        with self._lock:
            self._faults.clear()

    def hit(self, address: Address, method: str, path: str) -> Fault | None:
        """The fault that strikes this request, if any; counts it."""
        with self._lock:
            for fault in self._faults:
                if not fault.matches(address, method, path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times is None:
                    return fault
                if fault.times > 0:
                    fault.times -= 1
                    return fault
        return None
