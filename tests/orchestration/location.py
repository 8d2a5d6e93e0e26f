"""A Dagster code location, as Dagster's processes load it. Its world is in the environment."""

from __future__ import annotations

from dagster import Definitions

from stripe_reports_source.orchestration.dagster import availability_sensor, report_assets
from tests.orchestration.world import world_here

world = world_here()
source = world.source()
assets = report_assets(source, pipeline=world.pipeline())
defs = Definitions(assets=assets, sensors=[availability_sensor(source, assets)])
