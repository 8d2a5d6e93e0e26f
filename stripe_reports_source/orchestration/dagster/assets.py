"""An asset per report: its partitions are fetched on any machine, and loaded one after the other.

In: a source and a pipeline. Out: Dagster's assets and checks. Each asset is a graph of two steps: `fetch` plans the
cells of its partition, runs them at Stripe and waits, without a lock; `load` puts the files into the destination.
"""

# without `from __future__ import annotations`: Dagster compares the types of its contexts, not their names
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dagster import (
    AssetKey,
    AssetsDefinition,
    In,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    PartitionsDefinition,
    RetryPolicy,
    TableColumn,
    TableSchema,
    graph,
    op,
)
from dlt import Pipeline
from dlt.extract import DltSource

from ... import ConfigurationError, report_tables
from .checks import tie_out_check
from .metadata import materialized
from .partitions import checked_partitions, days_of, partitions_of
from .work import Work

POOL = "stripe_reports_load"
"""The pool of `load` steps, see https://docs.dagster.io/guides/operate/managing-concurrency."""
AT_ONCE = 4
PAYOUTS = "payouts"
"""The input that lets a step wait for the payouts of its partition."""


def report_assets(
    source: DltSource,
    *,
    pipeline: Pipeline,
    partitions_def: PartitionsDefinition[str] | None = None,
    url: str | os.PathLike[str] | None = None,
    group_name: str = "stripe",
    key_prefix: str | Sequence[str] | None = None,
    at_once: int = AT_ONCE,
    retry_policy: RetryPolicy | None = None,
    pool: str = POOL,
) -> list[AssetsDefinition]:
    """An asset for each report of a source, and for each of them the check `tie_out`. No request is made.

    A partition stands by itself: its cells are fetched and loaded whatever is loaded before them, as far as Stripe has
    them, and one that fails leaves the others as they are. No cursor is moved. Materializing a partition again, when
    Stripe has nothing new, loads nothing; of reports per payout it loads the same rows again.

    Args:
        source: from `stripe_reports(...)`, possibly narrowed by `with_resources`; with a `start_date`, unless
            `partitions_def` is given.
        pipeline: where to load to. Its loads wait for one another, in whichever process they are.
        partitions_def: time partitions, each of whole cells of every report; None makes those of each report's grid
            and zone, from `start_date` to the cell in progress.
        url: where the files are between the two steps: a folder that all steps see, or an address that fsspec takes.
            None is a folder beside the pipeline's working folder. Files are removed when they are loaded.
        group_name: of the assets.
        key_prefix: of the assets' keys, each of which ends with the name of its table.
        at_once: report runs that a partition with several cells waits for at once.
        retry_policy: of the steps; a repeated step finds its report runs again.
        pool: of the steps that load; a limit of one lets them wait in Dagster, and not in processes for one another.

    Raises:
        ConfigurationError: a setting is wrong, or a partition would cut a cell.
    """
    tables = report_tables(source)
    if not tables:
        raise ConfigurationError("the source has no reports selected; name one in reports or with_resources.")
    prefix = [key_prefix] if isinstance(key_prefix, str) else [*(key_prefix or ())]
    names = [table.resource for table in tables]
    keys = {table.resource: AssetKey([*prefix, table.table]) for table in tables}
    assets: list[AssetsDefinition] = []
    for table in tables:
        key, payouts = keys[table.resource], keys.get(table.payouts_table or "")
        parts = partitions_of(table) if partitions_def is None else checked_partitions(partitions_def, table)
        others = [name for name in names if name != table.resource]
        work = Work(source, pipeline, table, others, place_of(pipeline, url, key), at_once)
        steps = Steps(retry_policy, pool, payouts)
        assets += [_asset(work, key, parts, group_name, steps), tie_out_check(work, key)]
    return assets


@dataclass(frozen=True)
class Steps:
    """How the steps of an asset are run, and the asset whose payouts they are run for, and after; None for most."""

    retry_policy: RetryPolicy | None
    pool: str
    payouts: AssetKey | None


def _asset(
    work: Work, key: AssetKey, parts: PartitionsDefinition[str], group_name: str, steps: Steps
) -> AssetsDefinition:
    name = key.to_python_identifier()
    fetch, load = _fetch_step(work, f"fetch_{name}", steps), _load_step(work, f"load_{name}", steps)

    def composed() -> Any:
        return load(fetch())

    def composed_after(payouts: Any) -> Any:
        return load(fetch(payouts))

    return AssetsDefinition.from_graph(
        graph(name=name, description=work.table.description)(composed_after if steps.payouts else composed),
        keys_by_input_name={PAYOUTS: steps.payouts} if steps.payouts else {},
        keys_by_output_name={"result": key},
        partitions_def=parts,
        group_name=group_name,
        descriptions_by_output_name={"result": work.table.description},
        metadata_by_output_name={"result": _about(work)},
        tags_by_output_name={"result": {"dagster/kind/stripe": "", "dagster/kind/dlt": ""}},
    )


def _fetch_step(work: Work, name: str, steps: Steps) -> OpDefinition:
    @op(
        name=name,
        description="Runs the reports of the partition, and brings their files.",
        ins={PAYOUTS: In(Nothing)} if steps.payouts else {},
        retry_policy=steps.retry_policy,
    )
    def fetch(context: OpExecutionContext) -> list[dict[str, Any]]:
        days = days_of(context.partition_time_window, work.table)
        return work.fetch(days, context.run_id, context.log)

    return fetch


def _load_step(work: Work, name: str, steps: Steps) -> OpDefinition:
    @op(
        name=name,
        description="Loads the files of the partition: rows, system tables and tie_out.",
        ins={"files": In(list)},
        out=Out(Nothing),
        pool=steps.pool,
        retry_policy=steps.retry_policy,
    )
    def load(context: OpExecutionContext, files: list[dict[str, Any]]) -> Output[None]:
        days = days_of(context.partition_time_window, work.table)
        loaded = work.load(files, days)
        return Output(None, metadata=materialized(work.pipeline, work.table, days, loaded))

    return load


def _about(work: Work) -> dict[str, Any]:
    """What the catalogue shows of a table before anything is loaded."""
    table = work.table
    columns = [TableColumn(column.name, column.type, description=column.description) for column in table.columns]
    return {
        "dagster/table_name": f"{work.pipeline.dataset_name}.{table.table}",
        **({"dagster/column_schema": TableSchema(columns)} if columns else {}),
        "stripe/report": table.report,
        "stripe/account": table.account,
        "stripe/interval": table.grid,
        "stripe/timezone": table.timezone,
    }


def place_of(pipeline: Pipeline, url: str | os.PathLike[str] | None, key: AssetKey) -> str:
    """Where the files of an asset are: those of another account or pipeline may be fetched in the same run.

    Args:
        pipeline: beside whose working folder they are where no `url` is given.
        url: a folder or an address.
        key: of the asset.
    """
    folder = os.path.join(os.path.abspath(pipeline.pipelines_dir), f"{pipeline.pipeline_name}_fetched")
    whole = folder if url is None else os.fspath(url)
    return "/".join((whole.rstrip("/"), *(quote(part, safe="") for part in key.path)))
