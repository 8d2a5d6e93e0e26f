"""Fetched files between an engine's tasks: which reports of a source they are of, and their end.

In: files, a source. Out: files removed, a narrowed source. dlt is imported where it is used, not before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from .. import FetchedFile

if TYPE_CHECKING:
    from dlt.extract import DltSource


def remove(files: Iterable[FetchedFile]) -> None:
    """Remove fetched files; each folder or address is of a single run of the engine's."""
    import fsspec  # which takes a moment

    for url in {file.url for file in files}:
        system, path = fsspec.core.url_to_fs(url)
        if system.exists(path):
            system.rm(path, recursive=True)


def without(source: DltSource, others: Collection[str]) -> DltSource:
    """A source without some of its resources."""
    return source.with_resources(*(name for name in source.selected_resources if name not in others))
