"""Which sync the resources of a source take part in: made for a source, handed to each of its resources.

In: the settings of a source, and the load that `load_reports` runs it in. Out: the sync that is under way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dlt
from dlt.extract import DltSource

from ..errors import ConfigurationError
from ..plan.settings import Settings
from .context import Load
from .package import current_load_id

if TYPE_CHECKING:
    from .given import GivenFiles
    from .replaying import Archived
    from .running import Sync


class Syncs:
    """The syncs of one source: under `load_reports` one for all packages of a pass, else one per extraction."""

    def __init__(self, settings: Settings, archived: Archived | None = None) -> None:
        """`archived` is what is loaded instead of what Stripe has; None asks Stripe."""
        self.settings = settings
        self._archived = archived
        self._taken = threading.Lock()
        self._load: Load | None = None
        self._given: GivenFiles | None = None
        self._load_id: str | None = None
        self.sync: Sync | None = None
        """The one that is under way, or was last."""

    @property
    def replays(self) -> bool:
        """True where the cells come from an archive."""
        return self._archived is not None

    @contextmanager
    def loading(self, load: Load, given: GivenFiles | None = None) -> Iterator[None]:
        """Run the source in a load; with files that are `given` instead of runs.

        Raises:
            ConfigurationError: it runs in another one already.
        """
        self._refuse_second(self._taken.acquire(blocking=False))
        self.end()
        self._load, self._given = load, given
        try:
            yield
        finally:
            self._load = self._given = None
            self.end()
            self._taken.release()

    def refuse_second(self) -> None:
        """Refuse a load of the source while there is another.

        Raises:
            ConfigurationError: it is being loaded.
        """
        self._refuse_second(not self._taken.locked())

    def current(self) -> Sync:
        """The sync that the calling resource takes part in; begins one if need be."""
        from .running import Sync  # Arrow and HTTP, which building a source does not need

        load_id = current_load_id()
        if self._load is None and self.sync is not None and self._is_over(self.sync, load_id):
            self.end()
        if self.sync is None:
            pipeline = None if load_id is None else dlt.current.pipeline()
            self.sync = Sync(self.settings, self._load or Load(), pipeline, self._archived, self._given)
        self._load_id = load_id
        return self.sync

    def end(self) -> None:
        """Close the sync, if there is one."""
        sync, self.sync = self.sync, None
        if sync is not None:
            sync.close()

    @staticmethod
    def _refuse_second(free: bool) -> None:
        if not free:
            raise ConfigurationError("This source object is being loaded already; build another one for a second load.")

    def _is_over(self, sync: Sync, load_id: str | None) -> bool:
        return load_id != self._load_id or (load_id is None and not sync.open_reports)


def syncs_of(source: DltSource) -> Syncs:
    """What the resources of a source were built with.

    Raises:
        ConfigurationError: it is not a `stripe_reports` source.
    """
    for resource in source.resources.values():
        # renamed and transformed resources have no arguments any more, but the system tables beside them do
        syncs = (resource.explicit_args or {}).get("syncs") if resource.args_bound else None
        if isinstance(syncs, Syncs):
            return syncs
    raise ConfigurationError(f"source {source.name!r} is not a stripe_reports source.")


def settings_for_jobs(source: DltSource) -> Settings:
    """The settings of a source whose cells are run at Stripe.

    Raises:
        ConfigurationError: it reads an archive, or is not a `stripe_reports` source.
    """
    syncs = syncs_of(source)
    if syncs.replays:
        raise ConfigurationError("the cells of archived_reports are fetched already: load it with load_reports.")
    return syncs.settings
