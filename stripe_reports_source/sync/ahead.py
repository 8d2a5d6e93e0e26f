"""Two steps of work at the same time: the next item is made in a thread while the present one is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The items of an iterator, each made while the one before is used. Errors come where they would have come.

    Closing it early waits for the item that is being made.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="stripe-reports-parse") as thread:
        end = object()
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # it is not the end
