"""Which sync the resources of a source take part in: made for a source, handed to each of its resources.

In: the settings of a source, and the load that `load_reports` runs it in. Out: the sync that is under way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dlt
from dlt.extract import DltResource, DltSource

from ..errors import ConfigurationError
from ..plan.settings import Settings
from .context import Load
from .package import current_load_id

if TYPE_CHECKING:
    from .given import GivenFiles
    from .replaying import Archived
    from .running import Sync
    from .under_way import UnderWay


class Syncs:
    """The syncs of one source: under `load_reports` one for all packages of a pass, else one per extraction."""

    def __init__(self, settings: Settings, archived: Archived | None = None) -> None:
        """`archived` is what is loaded instead of what Stripe has; None asks Stripe."""
        self.settings = settings
        self._archived = archived
        self._taken = threading.Lock()
        self._load: Load | None = None
        self._given: GivenFiles | None = None
        self._under_way: UnderWay | None = None
        self._plain: dict[int, tuple[DltSource, str | None, Sync]] = {}
        self._plain_lock = threading.Lock()
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
        if self._load is not None:
            if self.sync is None:
                self.sync = self._begin(current_load_id())
            return self.sync
        # parts of one source may be extracted one after the other into one package, or side by side in threads
        source, load_id = dlt.current.source(), current_load_id()
        with self._plain_lock:
            running = self._plain.get(id(source))
            if running is None or running[:2] != (source, load_id):
                self._end_plain(lambda sync: not sync.open_reports)
                running = (source, load_id, self._begin(load_id))
                self._plain[id(source)] = running
        self.sync = running[-1]
        return self.sync

    def give_way(self) -> UnderWay | None:
        """End the sync, but not what it has under way, which the next one goes on with."""
        sync, self.sync = self.sync, None
        if sync is not None:
            self._under_way = sync.under_way
        return self._under_way

    def go_on_with(self, under_way: UnderWay) -> None:
        """Let the next sync go on with what is under way."""
        self._under_way = under_way

    def end(self) -> None:
        """Close the sync, if there is one, and what is under way."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None and under_way.fetching is not None:
            under_way.fetching.close()
        sync, self.sync = self.sync, None
        if sync is not None:
            sync.end()
        with self._plain_lock:
            self._end_plain(lambda sync: True)

    def _begin(self, load_id: str | None) -> Sync:
        from .running import Sync  # Arrow and HTTP, which building a source does not need

        pipeline = None if load_id is None else dlt.current.pipeline()
        under_way, self._under_way = self._under_way, None
        return Sync(self.settings, self._load or Load(), pipeline, self._archived, self._given, under_way)

    def _end_plain(self, which: Callable[[Sync], bool]) -> None:
        for key, (_, _, sync) in [*self._plain.items()]:
            if which(sync):
                sync.close()
                del self._plain[key]

    @staticmethod
    def _refuse_second(free: bool) -> None:
        if not free:
            raise ConfigurationError("This source object is being loaded already; build another one for a second load.")


def syncs_of(source: DltSource) -> Syncs:
    """What the resources of a source were built with.

    Raises:
        ConfigurationError: it is not a `stripe_reports` source.
    """
    if isinstance(source, DltResource):
        raise ConfigurationError(
            f"resource {source.name!r} is not a source; give the source that it is of, narrowed by "
            f"with_resources({source.name!r})."
        )
    if not isinstance(source, DltSource):
        raise ConfigurationError(f"a source is wanted, as stripe_reports(...) returns it, not {type(source).__name__}.")
    for resource in source.resources.values():
        # renamed and transformed resources have no arguments any more, but the system tables beside them do
        syncs = (resource.explicit_args or {}).get("syncs") if resource.args_bound else None
        if isinstance(syncs, Syncs):
            return syncs
    raise ConfigurationError(f"source {source.name!r} is not a stripe_reports source.")


def checked_sources(given: DltSource | Sequence[DltSource]) -> list[DltSource]:
    """The sources that are to be loaded one after another.

    Raises:
        ConfigurationError: one is not a `stripe_reports` source, or is given twice; or there is none.
    """
    listed = list(given) if isinstance(given, Sequence) else [given]
    if not listed:
        raise ConfigurationError("no source is given to load.")
    if len({id(syncs_of(source)) for source in listed}) < len(listed):
        raise ConfigurationError("one source object is given twice; build another one, or give it once.")
    return listed


def settings_for_jobs(source: DltSource) -> Settings:
    """The settings of a source whose cells are run at Stripe.

    Raises:
        ConfigurationError: it reads an archive, or is not a `stripe_reports` source.
    """
    syncs = syncs_of(source)
    if syncs.replays:
        raise ConfigurationError("the cells of archived_reports are fetched already: load it with load_reports.")
    return syncs.settings
