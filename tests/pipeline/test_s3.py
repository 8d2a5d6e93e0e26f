"""Delta and Iceberg tables on S3, for which a server of moto's stands in."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline
from dlt.common.configuration.specs import AwsCredentials

from stripe_reports_source import load_reports
from stripe_reports_source.emulator import Emulator
from tests.conftest import LAKES, query, source_of, until
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import posts

pytest.importorskip("s3fs", reason="s3fs is not installed")
pytest.importorskip("moto.server", reason="moto with its server is not installed")

REPORTS = ["balance.summary", "payouts.itemized"]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server in a process of its own: delta-rs keeps Python's lock while it waits for an answer."""
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("w") as written:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        server = subprocess.Popen(command, stdout=written, stderr=written)
    try:
        until(lambda: "http://127.0.0.1:" in log.read_text() or server.poll() is not None)
        [address, *_] = re.findall(r"http://127\.0\.0\.1:\d+", log.read_text())
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def bucket(s3: str) -> Callable[..., Any]:
    """A destination in an empty bucket."""
    credentials = AwsCredentials()
    credentials.aws_access_key_id, credentials.aws_secret_access_key = "user", "none"
    credentials.region_name, credentials.endpoint_url = "us-east-1", s3
    name = f"lake-{uuid.uuid4().hex}"
    s3fs = importlib.import_module("s3fs")
    s3fs.S3FileSystem(key="user", secret="none", client_kwargs={"endpoint_url": s3}).mkdir(name)
    return lambda folder="finance": dlt.destinations.filesystem(f"s3://{name}/{folder}", credentials=credentials)


@pytest.mark.long
@pytest.mark.parametrize("form", LAKES)
def test_syncs_end_in_the_truth(emulator: Emulator, tmp_path: Path, bucket: Callable[..., Any], form: str) -> None:
    def make(folder: str) -> Pipeline:
        pipelines = str(tmp_path / folder)
        return dlt.pipeline("reports", destination=bucket(), dataset_name="stripe", pipelines_dir=pipelines)

    pipeline = make("here")
    for days in (0, 1):
        emulator.advance(emulator.settings.available_end + timedelta(days=days))
        load_reports(pipeline, source_of(emulator, REPORTS, table_format=form))
        assert_true(emulator, pipeline, REPORTS, end=emulator.service.available_end)
    asked = posts(emulator)
    assert load_reports(make("elsewhere"), source_of(emulator, REPORTS, table_format=form)).cells == 0
    assert posts(emulator) == asked
    assert query(pipeline, "SELECT count(*) > 1 FROM report_cells") == [(True,)]
    if form == "iceberg":
        of_two_commits_one_is_told(pipeline)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_folders_of_a_bucket_do_not_disturb_each_other(
    emulator: Emulator, tmp_path: Path, bucket: Callable[..., Any]
) -> None:
    def make(folder: str) -> Pipeline:
        pipelines = str(tmp_path / "pipelines")
        return dlt.pipeline("reports", destination=bucket(folder), dataset_name="stripe", pipelines_dir=pipelines)

    def source() -> Any:
        return source_of(emulator, REPORTS, table_format="delta")

    load_reports(make("production"), source())
    for _ in range(3):  # its state has a higher number then
        emulator.advance(emulator.service.available_end + timedelta(days=1))
        load_reports(make("trial"), source())
    assert load_reports(make("production"), source()).cells
    for folder in ("production", "trial"):
        assert_true(emulator, make(folder), REPORTS, end=emulator.service.available_end)


def of_two_commits_one_is_told(pipeline: Pipeline) -> None:
    from stripe_reports_source.warehouse.iceberg_tables import Conflict
    from tests.pipeline.test_iceberg import commit, opened

    first, second = (opened(pipeline, "balance_summary") for _ in range(2))
    commit(first, ["a"])
    with pytest.raises(Conflict):
        commit(second, ["b"])
    assert query(pipeline, "SELECT count(*) FROM balance_summary WHERE _interval_key IN ('a', 'b')") == [(1,)]
