"""The walls between the rooms of the package: the rules as data, and a checker that reads imports with `ast`.

In: the folder of a package. Out: sentences, one for each place where a rule is broken. Late imports, imports for type
checkers and imports by name (`importlib.import_module("...")`) count like any other. Nothing is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOMS: dict[str, tuple[str, ...]] = {
    # room: its files, as modules; a folder's name stands for all that is in it
    "errors": ("errors",),
    "plan": ("plan",),
    "stripe_api": ("stripe_api",),
    "rows": ("rows",),
    "warehouse": ("warehouse",),
    "emulator": ("emulator",),
    "sync": ("sync",),
    "reconcile": ("reconcile",),
    "marts": ("marts",),
    "source": ("source",),
    "jobs": ("jobs",),
    "load": ("load",),
    "proof": ("proof",),
    "webhook": ("webhook",),
    "orchestration": ("orchestration",),
    "door": ("",),  # the package's own __init__
    "faces": ("cli", "console", "demo", "page"),
}
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    # room: the rooms, or the single modules of a room, that it may import
    "errors": (),
    "plan": ("errors",),
    "stripe_api": ("plan", "errors"),
    "rows": ("plan", "errors"),
    "warehouse": ("plan", "errors"),
    "emulator": ("plan", "errors"),
    "sync": ("stripe_api", "rows", "warehouse", "plan", "errors"),
    "reconcile": ("warehouse", "plan", "errors"),
    "marts": ("warehouse", "plan", "errors"),
    "proof": ("reconcile", "sync", "warehouse", "plan", "errors"),
    "source": ("sync", "warehouse", "plan", "reconcile", "errors"),
    "jobs": ("sync", "warehouse", "plan", "reconcile", "errors"),
    "load": ("proof", "sync", "warehouse", "plan", "reconcile", "stripe_api.run_events", "errors"),
    "webhook": (*("source", "load", "plan", "warehouse.query", "stripe_api.run_events", "sync.progress", "errors"),),
    "orchestration": ("door", "plan.intervals", "errors"),
    "door": (
        *(
            "source",
            "jobs",
            "load",
            "proof",
            "sync.progress",
            "plan.report",
            "plan.report_tables",
            "plan.planned",
            "plan.system_tables",
        ),
        *("reconcile", "errors"),
    ),
    "faces": tuple(room for room in ROOMS if room != "faces"),
}
NEVER: dict[str, tuple[str, ...]] = {
    # room: what it must not import from outside the package
    "errors": ("dlt", "requests", "urllib3", "pyarrow", "numpy", "duckdb"),
    "plan": ("dlt", "requests", "urllib3", "pyarrow", "numpy", "duckdb"),
}
MOST_ROOT_FILES = 8
MOST_FLOORS = 8
MOST_LINES = 50
LONG_FUNCTIONS_ALLOWED_IN = ("emulator",)


@dataclass(frozen=True)
class Import:
    """A line of a file that imports `module`: of the package, without the package's name, or from outside."""

    file: str
    line: int
    importer: str
    module: str
    inside: bool


@dataclass(frozen=True)
class House:
    """A package as it was read: its modules by name (the root is "") with their files, and their imports."""

    name: str
    root: Path
    files: Mapping[str, Path]
    imports: tuple[Import, ...]

    def file(self, module: str) -> str:
        """A module's file as messages show it."""
        return self.files[module].relative_to(self.root.parent).as_posix()


def read_house(root: Path) -> House:
    """Read every module below a package's folder."""
    files = {_module_name(path.relative_to(root)): path for path in sorted(root.rglob("*.py"))}
    house = House(root.name, root, files, ())
    return House(root.name, root, files, tuple(found for module in files for found in _imports_of(house, module)))


def broken_rules(house: House) -> list[str]:
    """Every rule that the house breaks, each as a sentence that says what and where."""
    rules = (homeless, broken_walls, forbidden_outside, circles, crowded_root, too_many_floors, long_functions)
    return list(dict.fromkeys(sentence for rule in rules for sentence in rule(house)))


def homeless(house: House) -> list[str]:
    """Files that no room of the table has."""
    return [
        f"{house.file(module)} belongs to no room; give it one in ROOMS and MAY_IMPORT."
        for module in house.files
        if room_of(module) is None
    ]


def broken_walls(house: House) -> list[str]:
    """Imports from a room that the importing room may not import."""
    sentences = []
    for found in house.imports:
        room, other = room_of(found.importer), room_of(found.module)
        if not found.inside or room is None or other is None or room == other:
            continue
        allowed = MAY_IMPORT[room]
        if other not in allowed and not any(_within(found.module, module) for module in allowed if module):
            may = " and ".join([", ".join(allowed[:-1]), allowed[-1]] if len(allowed) > 1 else allowed) or "nothing"
            sentences.append(
                f"{found.file}:{found.line} imports {found.module or house.name}, but {room} may import only {may}."
            )
    return sentences


def forbidden_outside(house: House) -> list[str]:
    """Imports of other packages that a room must not know."""
    return [
        f"{found.file}:{found.line} imports {found.module}, which {room_of(found.importer)} must never reach."
        for found in house.imports
        if not found.inside and found.module.split(".")[0] in NEVER.get(room_of(found.importer) or "", ())
    ]


def circles(house: House) -> list[str]:
    """Files that import one another in a circle; each circle once, as the way round it."""
    after: dict[str, list[str]] = {module: [] for module in house.files}
    for found in house.imports:
        if found.inside and found.module != found.importer and found.module not in after[found.importer]:
            after[found.importer].append(found.module)
    return [
        "import circle: " + " -> ".join(house.file(module) for module in (*way, way[0])) + "."
        for way in _ways_round(after)
    ]


def crowded_root(house: House) -> list[str]:
    """More files at the package's root than are allowed."""
    names = sorted(path.name for path in house.root.iterdir() if path.is_file() and not path.name.startswith("."))
    if len(names) <= MOST_ROOT_FILES:
        return []
    return [f"{house.name}/ holds {len(names)} files, {MOST_ROOT_FILES} at most: {', '.join(names)}."]


def too_many_floors(house: House) -> list[str]:
    """A chain of rooms, each importing the next, that is longer than allowed."""
    tower = longest_tower(house)
    if len(tower) <= MOST_FLOORS:
        return []
    return [f"{len(tower)} floors of imports, {MOST_FLOORS} at most: {' -> '.join(tower)}."]


def longest_tower(house: House) -> list[str]:
    """The longest chain of rooms of which each imports the next, from the top."""
    below: dict[str, dict[str, None]] = {}  # as ordered sets, so that the answer is always the same
    for found in house.imports:
        room, other = room_of(found.importer), room_of(found.module)
        if found.inside and room and other and room != other:
            below.setdefault(room, {})[other] = None

    def tower(room: str, above: tuple[str, ...]) -> list[str]:
        # a room that stands above itself is a broken wall, which is reported as such
        towers = [tower(other, (*above, room)) for other in below.get(room, ()) if other not in above]
        return [room, *max(towers, key=len, default=[])]

    return max((tower(room, ()) for room in below), key=len, default=[])


def long_functions(house: House) -> list[str]:
    """Functions that are too long to be read at one glance, from `def` to the last line."""
    sentences = []
    for module, path in house.files.items():
        if room_of(module) in LONG_FUNCTIONS_ALLOWED_IN:
            continue
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_LINES:
                    where = f"{house.file(module)}:{node.lineno}"
                    sentences.append(f"{where} {node.name} has {lines} lines, {MOST_LINES} at most.")
    return sentences


def room_of(module: str) -> str | None:
    """The room of a module of the package; None if it has none."""
    for room, places in ROOMS.items():
        if any(_within(module, place) for place in places):
            return room
    return None


def _within(module: str, place: str) -> bool:
    return module == place or (place != "" and module.startswith(f"{place}."))


def _module_name(path: Path) -> str:
    return ".".join(path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports_of(house: House, importer: str) -> Iterator[Import]:
    for node in ast.walk(_tree(house.files[importer])):
        for name in _imported_names(house, importer, node):
            inside = name == house.name or name.startswith(f"{house.name}.")
            module = _known_module(house, name.removeprefix(house.name).removeprefix(".")) if inside else name
            yield Import(house.file(importer), getattr(node, "lineno", 0), importer, module, inside)


def _imported_names(house: House, importer: str, node: ast.AST) -> Iterable[str]:
    """Full dotted names that a node imports; of `from x import y` both may be modules, so it is `x.y`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = [house.name, *filter(None, importer.split("."))]
            here = parts if house.files[importer].name == "__init__.py" else parts[:-1]
            base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        return [str(value.value) for value in node.args[:1] if isinstance(value, ast.Constant)]
    return []


def _known_module(house: House, name: str) -> str:
    """The module that a dotted name leads to: the name itself, or the longest part of it that is a file."""
    while name and name not in house.files:
        name = name.rpartition(".")[0]
    return name


def _ways_round(after: Mapping[str, list[str]]) -> list[list[str]]:
    """One shortest way round for each group of nodes that reach one another."""
    ways: dict[str, list[str]] = {}
    reached = {node: _ways_from(after, node) for node in after}
    for node in after:
        group = [other for other in reached[node] if node in reached[other]]
        if group and not any(other in ways for other in group):
            ways[node] = reached[node][node]
    return list(ways.values())


def _ways_from(after: Mapping[str, list[str]], start: str) -> dict[str, list[str]]:
    """The shortest way, without its end, to each node that is reached from `start`; to itself, if it comes back."""
    ways: dict[str, list[str]] = {}
    waiting = [[start]]
    for way in waiting:  # grows while it is walked
        for node in after[way[-1]]:
            if node not in ways:
                ways[node] = way
                waiting.append([*way, node])
    return ways
