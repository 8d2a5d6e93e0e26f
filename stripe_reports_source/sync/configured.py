"""What dlt's configuration holds for the source. In: the environment and dlt's files. Out: names of settings."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.doc import BaseDocProvider
from dlt.common.configuration.specs import PluggableRunContext

SECTION = ("sources", "stripe_reports")


def configured_names() -> list[str]:
    """Names in the section of the source, but for sections in it, which are for dlt or for one of its resources."""
    prefix = "".join(f"{part}__" for part in SECTION).upper()
    names = [name[len(prefix) :].lower() for name in os.environ if name.upper().startswith(prefix)]
    found = [name for name in names if "__" not in name]
    for provider in Container()[PluggableRunContext].providers.providers:
        if isinstance(provider, BaseDocProvider):
            section, _ = provider.get_value(SECTION[-1], dict, "", *SECTION[:-1])
            if isinstance(section, Mapping):
                found += [name for name, value in section.items() if not isinstance(value, Mapping)]
    return list(dict.fromkeys(found))
