"""What a load does that has to wait for its turn: it plans, and has its cells run and fetched.

In: a pipeline and a source. Out: what is under way. Nothing is loaded or moved here: the load plans again when it is
its turn, and takes what it still needs.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from importlib import import_module
from pathlib import Path

from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import was_stopped
from ..plan.cells import CellRequest
from .context import Load
from .fetching import Fetching
from .outcomes import Outcomes
from .planning import planning
from .syncs import syncs_of
from .under_way import UnderWay

logger = logging.getLogger(__name__)

NEEDED_LATER = ("pyarrow.dataset", "pyarrow.parquet", ".verdicts")
"""What a load imports while it has its turn, unless it has done so before."""


def begin_meanwhile(pipeline: Pipeline, source: DltSource, load: Load) -> UnderWay | None:
    """Plan, and let the cells be fetched in threads. None where nothing can be planned: the load says why."""
    try:
        with planning(pipeline, source, stop=load.stop) as plans:
            lanes = plans.lanes()
            planned = plans.under_way
    except Exception as error:
        if was_stopped(error):
            raise
        logger.info("nothing is run while another load is at work: %s", error)
        return None
    if planned is None or planned.fetching is None:
        return None
    settings = syncs_of(source).settings
    under_way = UnderWay(load, listed=planned.listed)
    stage = Outcomes(load, settings.label).stage
    folder = Path(pipeline.working_dir)
    under_way.fetching = Fetching(settings, load, folder, stage, offered=planned.fetching.offered)
    by_table: dict[str, list[list[CellRequest]]] = defaultdict(list)
    for lane in lanes:
        if lane.cells:
            by_table[lane.resolved.report.table].append(list(lane.cells))
    for table, cells in by_table.items():
        under_way.fetching.queues(table, cells)
    for module in NEEDED_LATER:
        import_module(module, __package__)
    return under_way
