"""What a killed process leaves in dlt's working folder, and would block or fill it for ever.

In: a pipeline whose lock is held. Out: nothing; what is removed is safe elsewhere, or is extracted again from the runs
that Stripe keeps.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from dlt import Pipeline

logger = logging.getLogger(__name__)

ABANDONED_SECONDS = 86_400
"""Age at which the folder of an extraction that never ended is taken for abandoned. A plain `pipeline.run` holds no
lock, so a younger one may be another process at work."""


def remove_remains(pipeline: Pipeline) -> None:
    """Remove extracted packages that are normalised already, and extractions that were abandoned.

    dlt 1.31 deletes an extracted package, file by file, after its normalised form is in place. Killed in between, it
    fails on the rest at every later run; killed while it extracts, it never looks at what is there again.
    """
    extracted = Path(pipeline.working_dir) / "normalize" / "extracted"
    done = {*pipeline.list_normalized_load_packages(), *pipeline.list_completed_load_packages()}
    for load_id in done.intersection(pipeline.list_extracted_load_packages()):
        logger.info("removing the rest of the extracted package %s, which is normalised", load_id)
        shutil.rmtree(extracted / load_id)
    for folder in extracted.parent.glob("*/"):
        if folder != extracted and folder.is_dir() and time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
            logger.info("removing the abandoned extraction %s", folder.name)
            shutil.rmtree(folder)


def abort_begun_packages(pipeline: Pipeline, source_name: str) -> None:
    """Abort a source's packages whose loading had begun; what they hold is extracted again, from the same report runs.

    Where packages of other sources are pending too, which may have nothing to extract again from, none is aborted.

    dlt 1.31 goes on with such a package job by job. A job that was killed after the database had committed its rows and
    before dlt had noted it runs again, and puts the rows into the staging table a second time: the merge would double
    them.
    """
    pending = [*pipeline.list_normalized_load_packages(), *pipeline.list_extracted_load_packages()]
    packages = [pipeline.get_load_package_info(load_id) for load_id in pending]
    begun = [one.load_id for one in packages if one.jobs["started_jobs"] or one.jobs["completed_jobs"]]
    if begun and all(one.schema_name == source_name for one in packages):
        logger.info("aborting the package %s, whose loading had begun", begun[0])
        pipeline.abort_packages()
