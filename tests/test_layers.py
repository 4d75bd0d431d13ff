"""Nothing imports what stands above it."""

import ast
import re
from pathlib import Path

import duck

DUCK = Path(__file__).parents[1] / "duck"
# From the top down; what stands on one line may know each other.
LAYERS = [
    {"faces"},
    {"long_runs"},
    {"invocation"},
    {"apps"},
    {"exchange"},
    {"state"},
    {"callers", "routes"},
    {"dify"},
    {"runs"},
    {"streams"},
    {"journal"},
    {"errors", "limits", "clock", "offload", "texts"},
]
APART = {"sdk", "__init__"}  # works on the SDK; has the version
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(path for path in DUCK.rglob("*.py") if path.relative_to(DUCK).parts[0].removesuffix(".py") not in APART)


def imported(path: Path) -> set[str]:
    """The rooms of Duck that a module imports from, also for its types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "duck":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("duck."):
            found.add(str(node.module).split(".")[1])
    return found


def room_of(path: Path) -> str:
    return path.relative_to(DUCK).parts[0].removesuffix(".py")


def test_no_import_leads_upwards() -> None:
    assert {room_of(path) for path in MODULES} <= RANKS.keys(), "a new room needs its place among the layers"
    leading = [(path, other) for path in MODULES for other in imported(path)]
    assert [(path, other) for path, other in leading if RANKS.get(other, len(LAYERS)) < RANKS[room_of(path)]] == []


def test_a_face_has_no_way_past_the_safeguards() -> None:
    names = {
        (path, f"{node.module}.{alias.name}")
        for path in MODULES
        if room_of(path) == "faces"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    forbidden = (
        "duck.callers.rates",
        "duck.dify.guests",
        "duck.streams.slots",
        "duck.state",
        "duck.dify.memory",
        "duck.dify.service",
        "duck.dify.kept",
        "duck.dify.gateway.S",
    )
    assert [(path, name) for path, name in names if name.startswith(forbidden)] == []


# Some answer browsers with pages; some take a run, or tell an error, as Duck's own API does.
NEIGHBOURS = {("api", "page"), ("webhook", "page"), ("webhook", "api"), ("service_api", "api")}


def test_no_face_knows_another() -> None:
    faces = {path.name for path in (DUCK / "faces").iterdir() if (path / "__init__.py").exists()}
    known = {
        (face, other)
        for face in faces
        for path in (DUCK / "faces" / face).rglob("*.py")
        for other in re.findall(r"from duck\.faces(?:\.(\w+)(?:\.\w+)*)? import (.+)", path.read_text("utf-8"))
        for other in ({other[0]} if other[0] else {*re.findall(r"\w+", other[1])})
    }
    assert {(face, other) for face, other in known if other in faces and other != face} == NEIGHBOURS


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    lengths = {str(path.relative_to(DUCK)): len(path.read_text("utf-8").splitlines()) for path in DUCK.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_the_map_names_every_module() -> None:
    names = {path.stem for path in DUCK.rglob("*.py")} - {"__init__"}
    assert {name for name in names if not re.search(rf"\b{name}\b", str(duck.__doc__))} == set()
