"""Stripe's financial reports in a warehouse, exact to the cent and complete to the second: a dlt source.

What needs dlt, whose import takes a second or more, is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    AccountGone,
    ArchiveError,
    AuthenticationError,
    CellError,
    ConfigurationError,
    DestinationBusy,
    DownloadError,
    Failure,
    LoadInterrupted,
    NotAvailable,
    NotFetched,
    NotOffered,
    NotStored,
    PermissionDenied,
    RowError,
    RunFailed,
    RunTimedOut,
    StripeError,
    StripeReportsError,
    StripeUnreachable,
    SyncFailed,
    TableRefused,
    TieOutFailed,
    UnusableFile,
    WorkingFolderError,
)
from .plan.planned import FetchedFile, PlannedCell
from .plan.report import Report
from .plan.report_tables import Availability, ReportColumn, ReportTable
from .plan.system_tables import Statement
from .sync.progress import Event

if TYPE_CHECKING:
    from .jobs import (
        availability,
        availability_settings,
        fetch_cell,
        loaded_since,
        plan_cells,
        query_tables,
        report_tables,
    )
    from .load import Loaded, TableLoaded, load_cells, load_reports
    from .proof import reconcile
    from .reconcile.reconciliation import Reconciliation
    from .source import archived_reports, stripe_reports

__version__ = "0.1.0"

__all__ = [
    "AccountGone",
    "ArchiveError",
    "AuthenticationError",
    "Availability",
    "CellError",
    "ConfigurationError",
    "DestinationBusy",
    "DownloadError",
    "Event",
    "Failure",
    "FetchedFile",
    "LoadInterrupted",
    "Loaded",
    "NotAvailable",
    "NotFetched",
    "NotOffered",
    "NotStored",
    "PermissionDenied",
    "PlannedCell",
    "Reconciliation",
    "Report",
    "ReportColumn",
    "ReportTable",
    "RowError",
    "RunFailed",
    "RunTimedOut",
    "Statement",
    "StripeError",
    "StripeReportsError",
    "StripeUnreachable",
    "SyncFailed",
    "TableLoaded",
    "TableRefused",
    "TieOutFailed",
    "UnusableFile",
    "WorkingFolderError",
    "__version__",
    "archived_reports",
    "availability",
    "availability_settings",
    "fetch_cell",
    "load_cells",
    "load_reports",
    "loaded_since",
    "plan_cells",
    "query_tables",
    "reconcile",
    "report_tables",
    "stripe_reports",
]

_WITH_DLT = {
    "Loaded": "load",
    "Reconciliation": "reconcile.reconciliation",
    "TableLoaded": "load",
    "archived_reports": "source",
    "availability": "jobs",
    "availability_settings": "jobs",
    "fetch_cell": "jobs",
    "load_cells": "load",
    "load_reports": "load",
    "loaded_since": "jobs",
    "plan_cells": "jobs",
    "query_tables": "jobs",
    "reconcile": "proof",
    "report_tables": "jobs",
    "stripe_reports": "source",
}
"""The module of each name that is imported when it is asked for."""
import_module(f"{__name__}.reconcile")  # a folder takes its name here when it is first imported; the function needs it
del globals()["reconcile"]


def __getattr__(name: str) -> Any:
    if name not in _WITH_DLT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_WITH_DLT[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
