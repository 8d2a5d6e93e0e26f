"""dlt's schemas in a pipeline's working folder, which are read again only where their files have changed.

In: a pipeline. Out: the same. dlt 1.31 reads and checks a schema each time that it is asked for, some twenty times in a
sync, and with `import_schema_path` its YAML too: 0.2 s each time for a few reports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlt import Pipeline, Schema
from dlt.common.storages.live_schema_storage import LiveSchemaStorage

Stamp = tuple[tuple[int, int, int] | None, ...]
"""What tells that a file has been changed: of the schema, and of the one that is imported."""


class KeptSchemas(LiveSchemaStorage):
    """As dlt's storage, see the module. What it is made from has the same schemas."""

    def __init__(self, storage: LiveSchemaStorage) -> None:
        super().__init__(storage.config)
        self.live_schemas = storage.live_schemas
        self._read: dict[str, Stamp] = {}

    def __getitem__(self, name: str) -> Schema:
        live = self.live_schemas.get(name)
        if live is not None and live.is_modified:
            return live
        before = self._stamp(name)
        if live is not None and self._read.get(name) == before:
            return live
        schema = super().__getitem__(name)
        self._read.pop(name, None)
        if self._stamp(name) == before:  # to read one that is imported may write it
            self._read[name] = before
        return schema

    def _stamp(self, name: str) -> Stamp:
        folders = {self.config.schema_volume_path: "json"}
        if self.config.import_schema_path:
            folders[self.config.import_schema_path] = str(self.config.external_schema_format)
        names = [(folder, self._file_name_in_store(name, form)) for folder, form in folders.items()]  # type: ignore[arg-type]
        return tuple(_file_stamp(Path(folder, file)) for folder, file in names)


def keep_schemas(pipeline: Pipeline) -> None:
    """Keep the pipeline's schemas from now on."""
    changed: Any = pipeline
    if not isinstance(pipeline.schemas, KeptSchemas):
        changed._schema_storage = KeptSchemas(changed._schema_storage)


def _file_stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
