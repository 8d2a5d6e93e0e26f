"""Settings as configuration files and the environment hold them: lists, tables of reports, names. Pure.

In: text, lists and mappings. Out: lists and `Report` values, or a `ConfigurationError` that names the setting.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..errors import ConfigurationError
from .report import Report

OTHERS = ("webhook_secrets", "webhook_secret")
"""Settings of the section `[sources.stripe_reports]` that are not arguments of the source."""
_NEAR = 0.8
"""How alike two names are, of 1, for one of them to be taken for a slip of the other."""


def listed(value: Any, setting: str) -> Sequence[Any]:
    """A setting's values, given as a list, as the JSON of one, as text with commas between them, or a single one.

    Raises:
        ConfigurationError: it is not one of these.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise ConfigurationError(f'{setting} is not a list in JSON, such as ["a", "b"].') from None
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Report | Mapping):
        return [value]
    if not isinstance(value, Iterable):
        raise ConfigurationError(f"{setting} {value!r} must be a list, or a single text.")
    return list(value)


def report_of(given: Any) -> Report:
    """A report, of its id, or of a mapping of the arguments of `Report`.

    Raises:
        ConfigurationError: an argument that `Report` does not have, or has another kind of value for.
    """
    if isinstance(given, Report):
        return given
    if not isinstance(given, Mapping):
        return Report(given)
    names = [field.name for field in fields(Report)]
    for name in given:
        if name not in names:
            raise ConfigurationError(f"reports: a report has no setting {name!r}; {_nearest(name, names)}")
    if "report" not in given:
        raise ConfigurationError('reports: a table lacks report, the id, such as report = "balance.summary".')
    for name in ("parameters", "types"):
        if not isinstance(given.get(name, {}), Mapping):
            raise ConfigurationError(f'reports: {name} of {given["report"]!r} must be a table, such as {{a = "b"}}.')
    return Report(**given)


def refuse_misspelt(configured: Iterable[str], settings: Iterable[str]) -> None:
    """Refuse names of the configuration that look like a setting's, but are not. Others may be for dlt.

    Raises:
        ConfigurationError: names the setting that is likely to be meant.
    """
    known = [*settings, *OTHERS]
    for name in configured:
        if name not in known and difflib.get_close_matches(name, known, 1, _NEAR):
            raise ConfigurationError(f"[sources.stripe_reports] has no setting {name!r}; {_nearest(name, known)}")


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}."
