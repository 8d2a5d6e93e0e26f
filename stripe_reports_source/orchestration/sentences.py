"""What people read of an error of ours in an engine, and whether another try can mend it.

In: an error. Out: a text that says what has happened and what to do.
"""

from __future__ import annotations

from .. import AuthenticationError, ConfigurationError, PermissionDenied, StripeReportsError, SyncFailed
from ..errors import remedy_of

LASTING = (ConfigurationError, AuthenticationError, PermissionDenied)
"""What another try does not mend."""


def sentence_of(error: StripeReportsError) -> str:
    """What has happened and what to do; a line for each interval that is not loaded."""
    if isinstance(error, SyncFailed):
        return "\n".join(str(failure) for failure in error.failures)
    return f"{error} {remedy_of(error)}"
