"""Stripe's reports as Dagster assets: an asset per report, whose time partitions are the cells of its grid.

In: a source and a pipeline. Out: assets with checks, and a sensor. Definitions make no request.
"""

from .assets import report_assets
from .sensors import availability_sensor

__all__ = ["availability_sensor", "report_assets"]
