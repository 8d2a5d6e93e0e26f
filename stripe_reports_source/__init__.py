"""Stripe's financial reports in a warehouse, exact to the cent and complete to the second: a dlt source."""

from .errors import (
    AuthenticationError,
    CellError,
    ConfigurationError,
    DownloadError,
    Failure,
    PermissionDenied,
    RowError,
    RunFailed,
    RunTimedOut,
    StripeError,
    StripeReportsError,
    StripeUnreachable,
    SyncFailed,
)
from .load import Loaded, load_reports
from .plan.report import Report
from .source import stripe_reports
from .sync.progress import Event

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
    "CellError",
    "ConfigurationError",
    "DownloadError",
    "Event",
    "Failure",
    "Loaded",
    "PermissionDenied",
    "Report",
    "RowError",
    "RunFailed",
    "RunTimedOut",
    "StripeError",
    "StripeReportsError",
    "StripeUnreachable",
    "SyncFailed",
    "__version__",
    "load_reports",
    "stripe_reports",
]
