"""Processes of several schedules that are played at once, each of which keeps its exit code.

Whoever starts a process looks at all others first (`multiprocessing.process._cleanup`), and of two threads that look at
one at the same moment, one takes its exit code and the other finds none: it is 255 then.
"""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.popen_forkserver import Popen
from typing import Any


class _Popen(Popen):
    """Looked at by one thread at a time."""

    def __init__(self, process: Any) -> None:
        self._looking = threading.Lock()
        super().__init__(process)

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if flag != os.WNOHANG:
            wait([self.sentinel])  # others may look meanwhile
        with self._looking:
            return super().poll(os.WNOHANG)


class _Process(ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Popen:  # multiprocessing's name
        return _Popen(process_obj)


class Processes(ForkServerContext):
    """See the module."""

    Process = _Process
