"""Stripe's financial reports in a warehouse, exact to the cent and complete to the second: a dlt source."""

from .errors import (
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
from .jobs import fetch_cell, plan_cells
from .load import Loaded, TableLoaded, load_cells, load_reports
from .plan.planned import FetchedFile, PlannedCell
from .plan.report import Report
from .plan.system_tables import Statement
from .proof import reconcile
from .reconcile.reconciliation import Reconciliation
from .source import archived_reports, stripe_reports
from .sync.progress import Event

__version__ = "0.1.0"

__all__ = [
    "ArchiveError",
    "AuthenticationError",
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
    "fetch_cell",
    "load_cells",
    "load_reports",
    "plan_cells",
    "reconcile",
    "stripe_reports",
]
