"""Whether a dlt destination can keep the promise that a cell is replaced whole."""

from __future__ import annotations

from dlt import Pipeline

from .errors import ConfigurationError


def check_destination(pipeline: Pipeline) -> None:
    """Refuse a destination that would keep old rows beside new ones.

    A cell is replaced by dlt's `delete-insert` merge. Destinations without it (plain-file `filesystem`, vector
    stores) fall back to appending, which doubles rows at every refresh.

    Raises:
        ConfigurationError: names the destination and some that work.
    """
    destination = pipeline.destination
    if destination is None:
        return
    if "delete-insert" not in (destination.capabilities().supported_merge_strategies or ()):
        raise ConfigurationError(
            f"destination {destination.destination_name!r} cannot replace rows (dlt's merge strategy 'delete-insert'), "
            "so each refresh would double them; use duckdb, postgres, snowflake, bigquery or another SQL destination."
        )
