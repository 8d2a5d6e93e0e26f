"""Whose schema and state dlt's working folder has: of which destination and dataset, here a place.

In: a pipeline. Out: the same, with the schema and state of the place that it loads to; what another place has left is
forgotten, and dlt restores what is right. dlt 1.31 by itself takes the state of the dataset only where its number is
not below the local one, whichever dataset that counts for, and keeps the local schema with it: a trial in another
dataset or file of the same pipeline's name would be written into this one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt import Pipeline
from dlt.common.configuration.container import Container
from dlt.common.destination.client import WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.pipeline import PipelineContext
from dlt.pipeline.state_sync import default_pipeline_state

from ..errors import ConfigurationError
from .destinations import destination_type, duckdb_file
from .kept_schemas import keep_schemas
from .leftovers import delete_pending
from .repeatable import holds_cells

logger = logging.getLogger(__name__)

NOTE = "stripe_reports_place"
"""Under which the place is noted in dlt's local state, which is never loaded."""
OF_LAST_STATE = "_last_extracted_hash"
"""Under which dlt keeps there which state it has sent to, or taken from, a dataset last."""

OF_A_PLACE = {NOTE, OF_LAST_STATE, "_last_extracted_at", "first_run"}
"""What there is of a place."""
_OF_CREDENTIALS = ("database", "catalog", "project_id", "endpoint_url", "azure_storage_account_name")
"""What credentials say of a place."""
_DIGITS, _EARLIER_DIGITS = 32, 16


@dataclass(frozen=True)
class Place:
    """Where a pipeline loads to. `location` tells databases apart, and has no secret."""

    destination: str
    location: str
    dataset: str

    def __str__(self) -> str:
        where = self.location if Path(self.location).is_absolute() else self.destination
        return f"the dataset {self.dataset!r} in {where}"


def place_of(pipeline: Pipeline) -> Place:
    """The place that a pipeline loads to."""
    file = duckdb_file(pipeline)
    location = _digest(pipeline) if file is None else str(file)
    return Place(destination_type(pipeline), location, str(pipeline.dataset_name or ""))


def take_over(pipeline: Pipeline) -> None:
    """Take over the schema and state that the pipeline's place keeps; under the pipeline's lock.

    Raises:
        ConfigurationError: see `leave_other_place`.
    """
    keep_schemas(pipeline)
    leave_other_place(pipeline)
    pipeline.sync_destination()
    note_place(pipeline)


def leave_other_place(pipeline: Pipeline) -> None:
    """Forget the schema and state of another place, and our packages for it; under the pipeline's lock.

    A package of ours is extracted again from the same report runs by the next sync into its place: the state there is
    as before it.

    Raises:
        ConfigurationError: a package of another source is pending for the other place.
    """
    if pipeline.destination is None:
        return
    (noted, state), here = _noted(pipeline), place_of(pipeline)
    if noted == here and state == _local_value(pipeline, OF_LAST_STATE):
        return
    pending = [*pipeline.list_normalized_load_packages(), *pipeline.list_extracted_load_packages()]
    is_other = noted is not None and noted != here
    if noted is not None and is_other and pending:
        _drop_packages(pipeline, noted, pending)
    elif pending or not _keeps_state(pipeline):
        return  # the state is not at the destination, or not yet
    if is_other or not _is_known_here(pipeline):
        logger.info("dlt's working folder has the schema and state of another dataset; those of %s are taken", here)
        _forget(pipeline)


def note_place(pipeline: Pipeline) -> None:
    """Note that the schema and state in dlt's working folder are those of the pipeline's place."""
    if pipeline.destination is None:
        return
    noted = [asdict(place_of(pipeline)), _local_value(pipeline, OF_LAST_STATE)]
    if _local_value(pipeline, NOTE) != noted:
        pipeline.set_local_state_val(NOTE, noted)


def refuse_other_place(pipeline: Pipeline) -> None:
    """As `leave_other_place`, where dlt is extracting already: nothing can be forgotten there.

    Raises:
        ConfigurationError: the schema and state are of another place; says what to do.
    """
    if pipeline.destination is None:
        return
    noted, here = noted_place(pipeline), place_of(pipeline)
    state = _local_value(pipeline, OF_LAST_STATE)
    if noted not in (None, here) and state is not None and _keeps_state(pipeline) and state != _stored(pipeline):
        raise ConfigurationError(
            f"the pipeline {pipeline.pipeline_name!r} was last at work for {noted}, and its working folder has the "
            f"schema and state of that, not of {here}; use load_reports, which takes the right ones, or call "
            "pipeline.drop() before run, or give each dataset a pipeline name of its own."
        )
    note_place(pipeline)


def noted_place(pipeline: Pipeline) -> Place | None:
    """The place that was noted last; None where there is no note."""
    return _noted(pipeline)[0]


@contextmanager
def reading_place(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline, for whoever reads its place without the lock: with a working folder of another place, one like it.

    What another process may be at work with is left alone.
    """
    keep_schemas(pipeline)
    if pipeline.destination is None or noted_place(pipeline) in (None, place_of(pipeline)):
        yield pipeline
        return
    with TemporaryDirectory(prefix="stripe-reports-") as folder, active_as_before():
        like_it = in_own_folder(pipeline, Path(folder))
        like_it.sync_destination()
        yield like_it


def in_own_folder(pipeline: Pipeline, folder: Path, destination: Any = None) -> Pipeline:
    """The same pipeline in a working folder of its own.

    Args:
        pipeline: any.
        folder: for the working folder.
        destination: instead of the pipeline's.
    """
    like_it: Pipeline = dlt.pipeline(
        pipeline.pipeline_name,
        destination=destination or pipeline.destination,
        dataset_name=pipeline.dataset_name,
        pipelines_dir=str(folder),
    )
    # from where dlt takes relative paths of a destination
    like_it.set_local_state_val("initial_cwd", pipeline.get_local_state_val("initial_cwd"))
    return like_it


@contextmanager
def active_as_before() -> Iterator[None]:
    """Leave that pipeline active that is."""
    context = Container()[PipelineContext]
    active = context.pipeline() if context.is_active() else None
    try:
        yield
    finally:
        if active is not None:
            with suppress(OSError):  # its folder may be gone by now
                context.activate(active)


def _digest(pipeline: Pipeline) -> str:
    """Of what tells a place from others of the destination: server, database, folder, as far as dlt knows them.

    dlt's own words are of what one query can reach: a bucket without the folder, a server without the catalog.
    """
    config: Any = pipeline.destination_client().config
    credentials = getattr(config, "credentials", None)
    parts = {name: getattr(credentials, name, None) for name in _OF_CREDENTIALS}
    parts["project_id"] = getattr(config, "project_id", None) or parts["project_id"]
    parts["bucket_url"] = folder = _remote_folder(str(getattr(config, "bucket_url", None) or ""))
    for tell in () if folder else ("data_location", "fingerprint"):
        with suppress(Exception):  # of any kind, where the configuration does not say
            parts[tell] = getattr(config, tell)()
    told = json.dumps({name: part for name, part in parts.items() if part and isinstance(part, str)}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:_DIGITS]


def _remote_folder(url: str) -> str:
    """A folder in a bucket or on a server, without a password and a query; dlt's `data_location` knows local ones."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file") or not parts.netloc:
        return ""
    user, at, host = parts.netloc.rpartition("@")  # of Azure the user is the container
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path.rstrip('/')}"


def _local_value(pipeline: Pipeline, name: str) -> Any:
    with suppress(KeyError):
        return pipeline.get_local_state_val(name)
    return None


def _noted(pipeline: Pipeline) -> tuple[Place | None, str | None]:
    """What `note_place` has noted: the place, and the state that was its last.

    An earlier digest was of less, and does not tell whether the place is this one: it counts as no note.
    """
    place, state = _local_value(pipeline, NOTE) or (None, None)
    noted = None if place is None else Place(**place)
    return (None, None) if noted is not None and len(noted.location) == _EARLIER_DIGITS else (noted, state)


def _keeps_state(pipeline: Pipeline) -> bool:
    """True where dlt keeps the state at the destination, and may take it from there."""
    restores = pipeline.config.restore_from_destination and not pipeline.dev_mode
    return bool(restores and isinstance(pipeline.destination_client(), WithStateSync))


def _is_known_here(pipeline: Pipeline) -> bool:
    """True where the local state is this place's own, or an older one that dlt replaces, or there is none."""
    if not pipeline.schema_names:
        return True
    with _state_client(pipeline) as client, suppress(DestinationUndefinedEntity):
        stored = client.get_stored_state(pipeline.pipeline_name)
        if stored is not None:
            is_older = pipeline.state["_state_version"] <= stored.version
            return is_older or _local_value(pipeline, OF_LAST_STATE) == stored.version_hash
        hashes = [schema.stored_version_hash for schema in pipeline.schemas.values()]
        return any(client.get_stored_schema_by_hash(known) is not None for known in hashes)
    return True


def _stored(pipeline: Pipeline) -> str | None:
    """The hash of the state that the place keeps; None if it keeps none."""
    with _state_client(pipeline) as client, suppress(DestinationUndefinedEntity):
        stored = client.get_stored_state(pipeline.pipeline_name)
        return None if stored is None else stored.version_hash
    return None


@contextmanager
def _state_client(pipeline: Pipeline) -> Iterator[WithStateSync]:
    client: Any = pipeline.destination_client()
    with client:
        yield client


def _drop_packages(pipeline: Pipeline, other: Place, pending: list[str]) -> None:
    names = {str(pipeline.get_load_package_info(load_id).schema_name) for load_id in pending}
    others = sorted(name for name in names if not _is_own(pipeline, name))
    if others or not _keeps_state(pipeline):
        raise ConfigurationError(
            f"the working folder of the pipeline {pipeline.pipeline_name!r} has a load package for {other} that is "
            f"not loaded yet, which must not be loaded into {place_of(pipeline)}; load it there first, or give it up "
            f"with `dlt --yes pipeline {pipeline.pipeline_name} abort-packages`, or give each dataset a pipeline name "
            "of its own."
        )
    logger.warning(
        "the load package %s for %s was not loaded, and is given up here; the next sync into that extracts it again, "
        "from the same report runs",
        ", ".join(sorted(pending)),
        other,
    )
    delete_pending(pipeline)


def _is_own(pipeline: Pipeline, schema_name: str) -> bool:
    return schema_name in pipeline.schemas and holds_cells(pipeline.schemas[schema_name])


def _forget(pipeline: Pipeline) -> None:
    """Be as a pipeline that has never loaded, in the same working folder. dlt does the same where `dev_mode` ends."""
    storage: Any = pipeline.schemas
    for name in [*storage.live_schemas]:
        if not storage.has_schema(name):  # never written, so that there is no file to delete
            del storage.live_schemas[name]
    storage.clear_storage()
    unset: Any = {"default_schema_name": None, "schema_names": [], "first_run": True}
    with pipeline.managed_state() as managed:
        state: Any = managed
        local = {name: value for name, value in state["_local"].items() if name not in OF_A_PLACE}
        state.clear()
        state.update(default_pipeline_state())
        state["_local"].update(local)
        for name, value in unset.items():
            setattr(pipeline, name, value)  # dlt writes them into the state
