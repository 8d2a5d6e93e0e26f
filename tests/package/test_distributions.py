"""What is published: an sdist that can be built and tested, and a wheel with the package and nothing else."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest

import stripe_reports_source
from tests.package.project import EXTRAS, PACKAGE, ROOT, python_versions, requirements

VERSION = stripe_reports_source.__version__
INFO = f"{PACKAGE.name}-{VERSION}.dist-info"
DATA = {"py.typed", "plan/catalog/report_types.json", "marts/ledger_accounts.csv", "page/style.css"}
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "justfile", ".ci/run", "tests")


def build(source: Path, kind: str, folder: Path) -> Path:
    """`kind`, "sdist" or "wheel", of the project in `source`, written into `folder`. Installs and downloads nothing."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    [made] = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    with tarfile.open(build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        place = tmp_path_factory.mktemp("unpacked")
        archive.extractall(place)
    [folder] = place.iterdir()
    return folder


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(sdist, "wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return email.message_from_bytes(wheel.read(f"{INFO}/METADATA"))


def package_files() -> set[str]:
    """Code and data of the package as they lie in the repository."""
    files = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if not any(part.startswith((".", "__pycache__")) for part in path.parts)}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if not name.startswith(f"{INFO}/")}
    assert names == {f"{PACKAGE.name}/{name}" for name in package_files()}


def test_what_is_no_code_is_data_that_the_package_reads() -> None:
    data = {name for name in package_files() if not name.endswith(".py")}
    checks = {name for name in data if PurePosixPath(name).match("reconcile/sql/*.sql")}
    marts = {name for name in data if PurePosixPath(name).match("marts/sql/*.sql")}
    assert len(checks) >= 20
    assert len(marts) >= 9
    assert data == DATA | checks | marts


def test_the_sdist_builds_and_can_be_tested(sdist: Path) -> None:
    assert [name for name in NEEDED if not (sdist / name).exists()] == []
    assert {path.name for path in sdist.iterdir()} <= {path.name for path in ROOT.iterdir()} | {"PKG-INFO"}
    hidden = {path.name for path in sdist.iterdir() if path.name.startswith(".")}
    assert hidden <= {".ci", ".dockerignore", ".gitignore", ".pre-commit-config.yaml"}
    assert list(sdist.rglob("*.duckdb")) == list(sdist.rglob("secrets.toml")) == []


def test_the_metadata_is_that_of_the_project(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("stripe-reports-source", VERSION)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra", [])) == set(EXTRAS)
    wanted = {requirement.name for requirement in requirements(test=True)}
    assert wanted <= {re.split(r"[\s\[<>=!~;]", line)[0] for line in metadata.get_all("Requires-Dist", [])}


def test_the_classifiers_name_pythons_that_are_allowed(metadata: Message) -> None:
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(metadata.get_all("Classifier", [])))
    assert versions == sorted(versions, key=lambda version: int(version.split(".")[1]))
    assert metadata["Requires-Python"] == f">={versions[0]}"
    assert set(versions) <= set(python_versions())
