"""A Dagster code location, as Dagster's processes load it. Its world is in the environment."""

from __future__ import annotations

from dagster import AssetKey, AssetSelection, Definitions, define_asset_job

from stripe_reports_source.orchestration.dagster import availability_sensor, report_assets
from tests.orchestration.world import world_here

world = world_here()
source = world.source()
assets = report_assets(source, pipeline=world.pipeline())
payouts = define_asset_job("payouts", selection=AssetSelection.assets(AssetKey("payouts_itemized")))
defs = Definitions(assets=assets, jobs=[payouts], sensors=[availability_sensor(source, assets)])
