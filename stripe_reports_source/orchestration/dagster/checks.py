"""The check of a report's asset: what `tie_out` says of its figures.

In: a pipeline that has loaded. Out: a result of Dagster's. It reads the dataset, and runs no report.
"""

from __future__ import annotations

from collections.abc import Sequence

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    asset_check,
)

from ... import loaded_since
from .dataset import BAD, OPEN, Verdict, counted, verdicts
from .work import Work

NAME = "tie_out"
DESCRIPTION = "Whether the figures of this report agree with its files and with Stripe's other reports, to the cent."
MOST_LINES = 20


def tie_out_check(work: Work, key: AssetKey) -> AssetChecksDefinition:
    """The check of an asset; it is run after each materialization, and may be run alone."""

    @asset_check(asset=key, name=NAME, description=DESCRIPTION)
    def tie_out() -> AssetCheckResult:
        since = loaded_since(work.pipeline).get((work.table.table, work.table.account), 0)
        return result_of(verdicts(work.pipeline, work.table), since)

    return tie_out


def result_of(found: Sequence[Verdict], since: int) -> AssetCheckResult:
    """Passed where something was compared, nothing differs and nothing is stale.

    What is pending or cannot be compared is said, and how many intervals were loaded `since` they were compared.
    """
    told = counted(found) + (f"; {since:,} intervals were loaded since" if since else "")
    bad = [verdict for verdict in found if verdict.status in BAD]
    open_ = sorted((verdict for verdict in found if verdict.status in OPEN), key=lambda each: OPEN.index(each.status))
    lines = [verdict.line for verdict in open_[:MOST_LINES]]
    if len(open_) > MOST_LINES:
        lines.append(f"and {len(open_) - MOST_LINES} more, in the table tie_out")
    metadata: dict[str, MetadataValue] = {"stripe/verdict": MetadataValue.text(told)}
    if lines:
        metadata["stripe/open"] = MetadataValue.md("\n".join(f"- {line}" for line in lines))
    if found:
        metadata["stripe/checked_at"] = MetadataValue.timestamp(max(verdict.checked_at for verdict in found))
    differs = any(verdict.status == "variance" for verdict in bad)
    return AssetCheckResult(
        passed=bool(found) and not bad,
        severity=AssetCheckSeverity.ERROR if differs else AssetCheckSeverity.WARN,
        description=lines[0] if bad else told,
        metadata=metadata,
    )
