"""What an emulator is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

from .traits import DEFAULT_TRAITS, checked_traits


@dataclass(frozen=True)
class EmulatorSettings:
    """Settings of an emulator.

    Args:
        seed: another seed is another business.
        scale: volume; 1.0 is some 25 transactions a day, 0 none but those that are added.
        traits: what the business has that makes its reports hard to reconcile, see `traits.TRAITS`.
        business_start: first day with transactions (UTC).
        available_end: up to when data is complete at the start; `advance` moves it on.
        available_start: from when data is available; None is the business's first day.
        interval_edges: True if an interval may reach the ends of the availability, as Stripe's guide says;
            False if it must stay a second inside, as the API reference says.
        run_delay: seconds a run stays pending, in real time.
        pending_polls: how often a run is seen pending before it can be seen finished, whatever the time.
        live_keys, test_keys, powerless_keys: API keys; test keys see other rows and runs than live keys; the last are
            valid but may do nothing.
        accounts: the account of each key that has one of its own: other rows, other runs. All other keys share one.
        offered: report type ids the account has; None is all that follow from the ledger.
        all_types: offer every report type of the catalogue; those without a business behind them have made-up rows.
        connected_accounts: the platform's accounts.
        revoked_accounts: accounts that have left the platform: runs for them are refused.
        live_only: report type ids that a test key is not offered.
        refused_columns: columns that Stripe does not know any more: a run that asks for one is refused.
        identity: what the ids of runs, files and events follow from, beside the seed; None is another for each start,
            so that no two emulators share an id.
        host, api_port, files_port, control_port: addresses; port 0 is any free one.
    """

    seed: int = 7
    scale: float = 1.0
    traits: tuple[str, ...] = DEFAULT_TRAITS
    business_start: date = date(2025, 1, 1)
    available_end: datetime = datetime(2025, 7, 1, tzinfo=timezone.utc)
    available_start: datetime | None = None
    interval_edges: bool = True
    run_delay: float = 0.0
    pending_polls: int = 1
    live_keys: tuple[str, ...] = ("rk_live_demo",)
    test_keys: tuple[str, ...] = ("rk_test_demo",)
    powerless_keys: tuple[str, ...] = ("rk_live_none",)
    accounts: Mapping[str, str] = field(default_factory=dict)
    offered: tuple[str, ...] | None = None
    all_types: bool = False
    connected_accounts: tuple[str, ...] = ("acct_emulated1", "acct_emulated2", "acct_emulated3")
    revoked_accounts: tuple[str, ...] = ()
    live_only: tuple[str, ...] = ()
    refused_columns: tuple[str, ...] = ()
    identity: str | None = None
    host: str = "127.0.0.1"
    api_port: int = 0
    files_port: int = 0
    control_port: int = 0

    def __post_init__(self) -> None:
        checked_traits(self.traits)

    @property
    def first_available(self) -> datetime:
        """From when data is available."""
        start = self.business_start
        return self.available_start or datetime(start.year, start.month, start.day, tzinfo=timezone.utc)

    @property
    def first_clock(self) -> datetime:
        """The emulator's clock at the start: Stripe publishes some eight hours after a day's end."""
        return self.available_end + timedelta(hours=8)
