"""The columns of a report over all its versions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stripe_reports_source.plan.catalog import Column, ReportType, load_catalog


def columns_of(base: str) -> Sequence[Column]:
    """The columns of all versions of a report, those of the newest one first, and as it has them."""
    versions = sorted(load_catalog().versions(base), key=lambda known: -known.version)
    listed = {column.name: column for known in reversed(versions) for column in known.columns}
    first = {column.name: column for column in newest(base).columns}
    return [*first.values(), *(column for name, column in listed.items() if name not in first)]


def newest(base: str) -> ReportType:
    """The newest version whose columns are known, or the newest."""
    versions = load_catalog().versions(base)
    return next((known for known in reversed(versions) if known.columns), versions[-1])
