"""Report runs that are made while a load waits for its turn, so that it finds them when it comes.

In: a pipeline and a source. Out: runs at Stripe. Nothing is loaded, kept or moved here: the load plans again when it is
its turn, and adopts the runs that it still needs.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from dlt import Pipeline
from dlt.extract import DltSource

from ..plan.cells import CellRequest
from ..plan.settings import Settings
from .syncs import syncs_of

logger = logging.getLogger(__name__)

CLOSE_PATIENCE = 0.3
"""Seconds to wait for workers at the end: what they have asked Stripe for is found by the load."""


class RunsAhead:
    """See the module; of one load. `close` may be called at any time."""

    def __init__(self, pipeline: Pipeline, source: DltSource) -> None:
        self._pipeline = pipeline
        self._source = source
        self._makers: list[_RunMaker] = []
        self._begun = False

    def begin(self) -> None:
        """Plan, and let the runs be made in threads; once. What cannot be planned is for the load to say."""
        if self._begun:
            return
        self._begun = True
        from .planning import planning  # Arrow and HTTP, which waiting does not need

        try:
            with planning(self._pipeline, self._source) as plans:
                lanes = plans.lanes()
        except Exception as error:
            logger.info("nothing is run while another load is at work: %s", error)
            return
        self._makers.append(_RunMaker(syncs_of(self._source).settings, [list(lane.cells) for lane in lanes]))

    def close(self) -> None:
        """Stop making runs. Those that are under way stay at Stripe."""
        while self._makers:
            self._makers.pop().close()


class _RunMaker:
    """Threads that make the runs of lanes, in order, and wait for each."""

    def __init__(self, settings: Settings, lanes: list[list[CellRequest]]) -> None:
        from ..stripe_api.client import stripe_client
        from ..stripe_api.runs import RunBook, Runner
        from .fetch import CellRunner
        from .pool import FetchPool

        # a run that fails is tried again by the load, which counts how often
        policy = replace(settings.run_policy, attempts=1)
        self._pool: FetchPool[CellRequest, None] = FetchPool(
            settings.max_concurrent_runs, self._make, lambda made: None, spare_bytes=1
        )
        api = stripe_client(settings, self._pool.sleep)
        runner = Runner(api, RunBook(api), policy, clock=time.monotonic, sleep=self._pool.sleep)
        self._runner = CellRunner(runner)
        for cells in lanes:
            self._pool.queue(cells)

    def _make(self, request: CellRequest) -> None:
        self._runner.run(request, (), lambda obtained: None)

    def close(self) -> None:
        self._pool.close(CLOSE_PATIENCE)
