"""What can be told of a key, its permissions, Stripe's hosts and the archive without making a report run.

In: settings. Out: answers in words; nothing is made or changed, here or at Stripe.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path

from ..errors import AuthenticationError, ConfigurationError, PermissionDenied, StripeError, StripeUnreachable
from ..plan.addresses import Address, parse_address
from ..plan.manifest import FILES, MANIFESTS
from ..plan.settings import Settings
from ..plan.stripe_objects import OfferedTypes
from .archive import Archive
from .client import stripe_client
from .connection import Connection

ATTEMPTS = 2
NO_FILE = "file_stripe_reports_doctor"
"""An id that no file has: who may read files is told that there is none."""


def key_kind(api_key: str) -> str:
    """What kind of key it is, from its first letters; never more of it."""
    kinds = {"rk": "a restricted key", "sk": "a full secret key; a restricted key is safer"}
    kind, _, rest = api_key.partition("_")
    if rest.startswith("org_"):
        return "an organisation's key"
    mode = {"live": "live data", "test": "test data"}.get(rest.partition("_")[0], "of unknown mode")
    return f"{kinds.get(kind, 'a key of unknown kind')}, {mode}"


def usable_archive(url: str) -> Archive:
    """The archive, into which files can be put as far as can be told; of one elsewhere, only its address is looked at.

    Raises:
        ConfigurationError: there is no such address, or its folder cannot be written, or made.
    """
    archive = Archive(url)
    if archive.place is not None:
        for folder in (archive.place, archive.place / FILES, archive.place / MANIFESTS):
            _refuse_closed(folder)
    return archive


def _refuse_closed(folder: Path) -> None:
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not nearest.is_dir():
        raise ConfigurationError(f"the archive {folder} cannot be made: {nearest} is not a folder; set archive_url.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"the archive cannot be written: {nearest} is closed or read-only; give permission to write there, or set "
            "archive_url."
        )


class Checkup:
    """Asks Stripe with few attempts. Each method can raise what `StripeApi` raises."""

    def __init__(self, settings: Settings) -> None:
        retry = replace(settings.retry_policy, attempts=min(ATTEMPTS, settings.retry_policy.attempts))
        self._settings = replace(settings, retry_policy=retry)
        self._client = stripe_client(self._settings, time.sleep)

    def offered(self) -> OfferedTypes:
        """The report types that the key is offered."""
        return self._client.report_types(self._settings.acts_on)

    def may_read_runs(self) -> None:
        """Return if the key may list report runs."""
        next(iter(self._client.runs_since(datetime.now(timezone.utc), self._settings.acts_on)), None)

    def may_read_files(self) -> None:
        """Return if the file host answers and the key may read files, as far as a file that is not there can tell."""
        try:
            self._answer(self._settings.files_base_url, f"/v1/files/{NO_FILE}/contents")
        except (AuthenticationError, PermissionDenied):
            raise
        except StripeError as error:
            if error.http_status != 404:
                raise

    def clock_difference(self) -> timedelta:
        """How far this machine's clock is ahead of Stripe's, which its Date header gives in whole seconds.

        Raises:
            StripeUnreachable: Stripe gives no time.
        """
        date = self._answer(self._settings.api_base_url, "/v1/reporting/report_types")
        try:
            return datetime.now(timezone.utc) - parsedate_to_datetime(date or "").astimezone(timezone.utc)
        except ValueError:
            raise StripeUnreachable("Stripe's answer has no Date header; look at the proxies on the way.") from None

    def _answer(self, base_url: str, path: str) -> str | None:
        """The Date header of an answer that is not an error."""
        address = parse_address(base_url)
        assert address is not None, "checked with the settings"  # noqa: S101
        connection = self._connection(address)
        with connection.send("GET", replace(address, path=address.path + path), self._settings.acts_on) as response:
            connection.raise_for_error(response)
            date: str | None = response.headers.get("Date")
            return date

    def _connection(self, address: Address) -> Connection:
        return Connection(
            self._settings.api_key,
            (address,),
            account_header="Stripe-Account" if self._settings.stripe_context is None else "Stripe-Context",
            retry=self._settings.retry_policy,
            sleep=time.sleep,
            chance=lambda: 0.0,
            clock=time.monotonic,
        )
