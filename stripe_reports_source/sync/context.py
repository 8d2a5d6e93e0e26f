"""How a sync is watched and bounded: events, and the scope that `load_reports` runs a source in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dlt
from dlt.extract import DltSource

from ..errors import ConfigurationError, Failure
from ..plan.settings import Settings
from ..plan.system_tables import REPORT_TYPES
from .progress import Event

if TYPE_CHECKING:
    from ..plan.cells import CellFailure
    from ..stripe_api.run_events import RunNews
    from .session import SyncSession


class SpoiledPackage(Exception):
    """Ends an extraction that holds part of a cell whose file turned out not to fit."""


@dataclass
class LoadScope:
    """How `load_reports` runs a source: bounded packages, failures collected. Held by `ACTIVE_SCOPE`.

    Without a scope (plain `pipeline.run`) there is one package and the first failure ends it. `stop` ends the load
    after the present package; `run_news` tells the workers that a run has ended.
    """

    max_cells: int
    max_bytes: int
    on_event: Callable[[Event], None]
    failures: list[Failure] = field(default_factory=list)
    spoiled: dict[tuple[str, str], CellFailure] = field(default_factory=dict)
    """Failures, by table and cell key, that were found when part of the cell had been extracted."""
    session: SyncSession | None = None
    cells: int = 0
    bytes: int = 0
    stop: threading.Event | None = None
    run_news: RunNews | None = None

    @property
    def full(self) -> bool:
        """True when the present package holds enough."""
        return self.stopped or self.cells >= self.max_cells or self.bytes >= self.max_bytes

    @property
    def stopped(self) -> bool:
        """True when whoever called wants the load to end."""
        return self.stop is not None and self.stop.is_set()


ACTIVE_SCOPE: ContextVar[LoadScope | None] = ContextVar("stripe_reports_load_scope", default=None)
ASKED_SETTINGS: ContextVar[list[Settings] | None] = ContextVar("stripe_reports_asked_settings", default=None)


def settings_of(source: DltSource) -> Settings:
    """What a source was built with. It asks nobody: one of its resources is iterated, and answers that instead.

    Raises:
        ConfigurationError: it is not a `stripe_reports` source.
    """
    answers: list[Settings] = []
    token = ASKED_SETTINGS.set(answers)
    try:
        if REPORT_TYPES.name in source.resources:
            list(source.resources[REPORT_TYPES.name])
    finally:
        ASKED_SETTINGS.reset(token)
    if not answers:
        raise ConfigurationError(f"source {source.name!r} is not a stripe_reports source.")
    return answers[0]


class Sessions:
    """Finds the sync that a generator takes part in; one for each source that is built."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._load_id: str | None = None
        self._session: SyncSession | None = None

    def current(self, load_id: str | None) -> SyncSession:
        """Under `load_reports` one session for all its packages, else one per extraction.

        Args:
            load_id: the package being extracted; None when the source is iterated outside a pipeline.
        """
        from .session import SyncSession  # Arrow and HTTP, which building a source does not need

        pipeline = None if load_id is None else dlt.current.pipeline()
        scope = ACTIVE_SCOPE.get()
        if scope is not None:
            if scope.session is None or scope.session.settings is not self.settings:
                scope.session = SyncSession(self.settings, scope, pipeline)
            return scope.session
        if self._session is not None and load_id != self._load_id:
            self._session.close()
            self._session = None
        if self._session is None or (load_id is None and not self._session.open_reports):
            self._session = SyncSession(self.settings, None, pipeline)
        self._load_id = load_id
        return self._session
