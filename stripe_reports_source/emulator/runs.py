"""A report run at Stripe, and the API objects of it and of its file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .validation import Parameters


@dataclass
class Run:
    """A report run and its file."""

    id: str
    scope: str
    livemode: bool
    report_type: str
    parameters: Parameters
    created: int
    ready_at: float
    polls_left: int
    status: str
    error: str | None
    stuck: bool
    file: Path
    number: int
    available_end: datetime
    updated: datetime
    """When the data that it reads had last been refreshed."""
    succeeded_at: int | None = None

    @property
    def file_id(self) -> str:
        """The id of its file."""
        return f"file_{self.id.removeprefix('frr_')}"

    def as_object(self, files_url: str) -> dict[str, Any]:
        """The `reporting.report_run` in its present state."""
        return {
            "id": self.id,
            "object": "reporting.report_run",
            "created": self.created,
            "error": self.error if self.status == "failed" else None,
            "livemode": self.livemode,
            "parameters": self.parameters,
            "report_type": self.report_type,
            "result": self._file_object(files_url) if self.status == "succeeded" else None,
            "status": self.status,
            "succeeded_at": self.succeeded_at,
        }

    def first_answer(self, files_url: str) -> dict[str, Any]:
        """What creation answered, which is what a replay answers again."""
        return {**self.as_object(files_url), "status": "pending", "result": None, "succeeded_at": None, "error": None}

    def _file_object(self, files_url: str) -> dict[str, Any]:
        created = self.succeeded_at or self.created
        return {
            "id": self.file_id,
            "object": "file",
            "created": created,
            "expires_at": created + 31_536_000,
            "filename": f"{self.id}.csv",
            "links": {"object": "list", "data": [], "has_more": False, "url": f"/v1/file_links?file={self.file_id}"},
            "purpose": "finance_report_run",
            "size": self.file.stat().st_size,
            "title": f"FinanceReportRun {self.id}",
            "type": "csv",
            "url": f"{files_url}/v1/files/{self.file_id}/contents",
        }


def run_of_an_earlier_start(run_id: str, now: datetime) -> dict[str, Any]:
    """What is left of a run that an emulator of the same business made before: that this account has made it."""
    return {
        "id": run_id,
        "object": "reporting.report_run",
        "created": int(now.timestamp()),
        "error": "The run was made by an earlier start of the emulator, which has kept no file.",
        "livemode": True,
        "parameters": {},
        "report_type": "",
        "result": None,
        "status": "failed",
        "succeeded_at": None,
    }
