"""Which routes there are: told once, by the group that `manifest.yaml` names. Its hidden rows answer for all other paths."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

_ROOT = Path(__file__).parents[1]
NOWHERE = "/?"  # how the log calls a path that no route has


def _rows() -> list[tuple[str, str]]:
    """The patterns and methods of the rows that are not hidden."""
    manifest = yaml.safe_load((_ROOT / "manifest.yaml").read_text("utf-8"))
    [group] = manifest["plugins"]["endpoints"]
    rows = yaml.safe_load((_ROOT / group).read_text("utf-8"))["endpoints"]
    return [(row["path"], row["method"]) for row in rows if not row.get("hidden")]


_ROWS = _rows()
# The methods of each route. The SDK cannot tell: it matches paths and methods together.
METHODS: Mapping[str, tuple[str, ...]] = {
    pattern: tuple(sorted(method for other, method in _ROWS if other == pattern)) for pattern, _ in _ROWS
}
_MAP = Map([Rule(pattern, endpoint=pattern) for pattern in METHODS], strict_slashes=True, merge_slashes=False).bind("")


def pattern_of(path: str) -> str:
    """The pattern of the route that a path is for, `NOWHERE` if there is none."""
    try:
        pattern, _ = _MAP.match(path, method="GET")
    except (NotFound, MethodNotAllowed):
        return NOWHERE
    return str(pattern)
