"""The rooms of the package and the walls between them (the table is in `walls.py`, and in CONTRIBUTING.md)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import walls
from tests.house.walls import House, read_house

PACKAGE = Path(__file__).parents[2] / "stripe_reports_source"
RULES: list[Callable[[House], list[str]]] = [
    walls.homeless,
    walls.broken_walls,
    walls.forbidden_outside,
    walls.circles,
    walls.crowded_root,
    walls.too_many_floors,
    walls.long_functions,
]


@pytest.fixture(scope="module")
def house() -> House:
    return read_house(PACKAGE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(house: House, rule: Callable[[House], list[str]]) -> None:
    broken = list(dict.fromkeys(rule(house)))
    assert not broken, "\n".join(broken)


def test_the_table_speaks_of_rooms_that_it_knows() -> None:
    rooms = set(walls.ROOMS)
    assert set(walls.MAY_IMPORT) == rooms
    named = {name for allowed in walls.MAY_IMPORT.values() for name in allowed}
    assert {name for name in named if name not in rooms and walls.room_of(name) is None} == set()


def build(root: Path, files: dict[str, str]) -> House:
    """A made-up package with these files; what they import that is missing, is there and empty."""
    package = root / "made_up"
    for name, text in {"__init__.py": "", **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for folder in path.parents:
            if folder != package and package in folder.parents and not (folder / "__init__.py").exists():
                (folder / "__init__.py").touch()
    return read_house(package)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param(
            {"plan/cells.py": "from ..sync.fetch import Cell\n", "sync/fetch.py": ""},
            "made_up/plan/cells.py:1 imports sync.fetch, but plan may import only errors.",
            id="a verb below its noun",
        ),
        pytest.param(
            {"rows/values.py": "def late():\n    from made_up.warehouse import hints\n", "warehouse/hints.py": ""},
            "made_up/rows/values.py:2 imports warehouse.hints, but rows may import only plan and errors.",
            id="a late import by the full name",
        ),
        pytest.param(
            {
                "stripe_api/runs.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .. import load\n",
                "load.py": "",
            },
            "made_up/stripe_api/runs.py:3 imports load, but stripe_api may import only plan and errors.",
            id="an import for the type checker, of a module",
        ),
        pytest.param(
            {"emulator/api.py": "import importlib\nimportlib.import_module('made_up.sync')\n", "sync/__init__.py": ""},
            "made_up/emulator/api.py:2 imports sync, but emulator may import only plan and errors.",
            id="an import by name",
        ),
        pytest.param(
            {"errors.py": "from .plan.report import Report\n", "plan/report.py": ""},
            "made_up/errors.py:1 imports plan.report, but errors may import only nothing.",
            id="errors that know a room",
        ),
        pytest.param(
            {"webhook/handle.py": "from ..warehouse.hints import HINTS\n", "warehouse/hints.py": ""},
            "made_up/webhook/handle.py:1 imports warehouse.hints, but webhook may import only source, load, plan, "
            "warehouse.query, stripe_api.run_events, sync.progress and errors.",
            id="another module of a room than the one that is open",
        ),
        pytest.param(
            {"sync/fetch.py": "import made_up\n", "__init__.py": "Report = 1\n"},
            "made_up/sync/fetch.py:1 imports made_up, but sync may import only stripe_api, rows, warehouse, plan and "
            "errors.",
            id="the front door from inside",
        ),
        pytest.param(
            {"plan/lanes.py": "def f():\n    import dlt.common\n"},
            "made_up/plan/lanes.py:2 imports dlt.common, which plan must never reach.",
            id="dlt in the pure room",
        ),
        pytest.param(
            {"sync/a.py": "from .b import x\n", "sync/b.py": "from . import c\n", "sync/c.py": "from .a import y\n"},
            "import circle: made_up/sync/a.py -> made_up/sync/b.py -> made_up/sync/c.py -> made_up/sync/a.py.",
            id="three files in a circle",
        ),
        pytest.param(
            {f"{name}.py": "" for name in ("source", "load", "errors", "cli", "console", "demo", "utils", "more")},
            "made_up/ holds 9 files, 8 at most: __init__.py, cli.py, console.py, demo.py, errors.py, load.py, more.py, "
            "source.py, utils.py.",
            id="a crowded root",
        ),
        pytest.param(
            {"helpers.py": ""}, "made_up/helpers.py belongs to no room; give it one in ROOMS and MAY_IMPORT.",
            id="a file without a room",
        ),
        pytest.param(
            {
                "cli.py": "from .webhook import x\n", "webhook/__init__.py": "from ..load import x\n",
                "load.py": "from .sync import x\n", "sync/__init__.py": "from ..rows import x\n",
                "rows/__init__.py": "from ..stripe_api import x\n", "stripe_api/__init__.py": "from ..plan import x\n",
                "plan/__init__.py": "from ..warehouse import x\n", "warehouse/__init__.py": "from ..errors import x\n",
                "errors.py": "",
            },
            "9 floors of imports, 8 at most: faces -> webhook -> load -> sync -> rows -> stripe_api -> plan -> "
            "warehouse -> errors.",
            id="one floor too many",
        ),
        pytest.param(
            {"sync/pool.py": "class Pool:\n    async def work(self):\n" + "        x = 1\n" * 50},
            "made_up/sync/pool.py:2 work has 51 lines, 50 at most.",
            id="a method of 51 lines",
        ),
    ],
)  # fmt: skip
def test_a_broken_rule_is_found_and_named(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    assert sentence in walls.broken_rules(build(tmp_path, files))


def test_what_the_table_allows_is_not_reported(tmp_path: Path) -> None:
    house = build(
        tmp_path,
        {
            "__init__.py": "from .load import load_reports\nfrom .plan.report import Report\n",
            "errors.py": "",
            "plan/report.py": "from ..errors import Wrong\nfrom .intervals import Span\nimport json\n",
            "plan/intervals.py": "from __future__ import annotations\n",
            "stripe_api/run_events.py": "import requests\n",
            "sync/progress.py": "from ..plan.intervals import Span\n",
            "load.py": "from .stripe_api.run_events import RunEvents\nfrom .sync.progress import Event\n",
            "webhook/worker.py": "from ..load import load_reports\nfrom ..stripe_api import run_events\n",
            "cli.py": "from . import load\nfrom . import console\nfrom . import __version__\n",
            "console.py": "",
            "emulator/control.py": "def app():\n" + "    x = 1\n" * 100,
        },
    )
    assert walls.broken_rules(house) == []
    assert walls.longest_tower(house) == ["faces", "door", "load", "sync", "plan", "errors"]


REFUSING = """
import importlib, pkgutil, sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ImportError(f"{{name}} is refused here")

sys.meta_path.insert(0, Refuses())
sys.modules["{package}"] = package = type(sys)("{package}")  # the front door needs dlt; the room must not
package.__path__ = [{path!r}]
room = importlib.import_module("{package}.plan")
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    importlib.import_module(module.name)
    print(module.name)
"""


def import_plan(package: Path) -> subprocess.CompletedProcess[str]:
    script = REFUSING.format(refused=walls.NEVER["plan"], package=package.name, path=str(package))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)


def test_plan_is_imported_where_dlt_http_and_arrow_cannot_be() -> None:
    told = import_plan(PACKAGE)
    assert told.returncode == 0, told.stderr
    assert f"{PACKAGE.name}.plan.intervals" in told.stdout.split()


def test_that_import_fails_where_a_module_of_plan_needs_one_of_them(tmp_path: Path) -> None:
    build(tmp_path, {"plan/state.py": "from ..errors import Wrong\n", "errors.py": "import numpy\n"})
    told = import_plan(tmp_path / "made_up")
    assert told.returncode != 0
    assert "numpy is refused here" in told.stderr
