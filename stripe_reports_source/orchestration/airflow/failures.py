"""Errors of ours as Airflow's: the sentence is what people see first, and what another try does not mend has none.

In: whatever is done in a task. Out: `AirflowFailException`, or `AirflowException`, which Airflow tries again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ... import StripeReportsError
from ..sentences import LASTING, sentence_of
from .versions import AirflowException, AirflowFailException


@contextmanager
def failures(*lasting: type[StripeReportsError]) -> Iterator[None]:
    """See the module; `lasting` are more errors that another try does not mend."""
    try:
        yield
    except StripeReportsError as error:
        kind = AirflowFailException if isinstance(error, (*LASTING, *lasting)) else AirflowException
        raise kind(sentence_of(error)) from error
