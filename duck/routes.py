"""Which routes there are, read from the group that `manifest.yaml` names.

The SDK matches path and method together, so it cannot tell a wrong method from a wrong path. Rows whose endpoint is called
`unknown`, or `…_unknown` for the paths of one face, answer what no other row does; they are no routes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

_ROOT = Path(__file__).parents[1]
# The loader in C takes a tenth of the time, 100 ms less at each start. Not every build of PyYAML has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NOWHERE = "/?"  # in the log, for a path that no route has


def _loaded(name: str) -> Any:
    return yaml.load((_ROOT / name).read_text("utf-8"), Loader=_LOADER)  # noqa: S506 - both are safe


def _rows() -> Iterator[tuple[str, str]]:
    [group] = _loaded("manifest.yaml")["plugins"]["endpoints"]
    for row in _loaded(group)["endpoints"]:
        source = Path(row["extra"]["python"]["source"])
        if row["method"] != "OPTIONS" and not source.stem.endswith("unknown"):
            yield row["path"], row["method"]


_ROWS = [*_rows()]
# The methods of each route, by its pattern.
METHODS: Mapping[str, tuple[str, ...]] = {
    pattern: tuple(sorted(method for other, method in _ROWS if other == pattern)) for pattern, _ in _ROWS
}
_MAP = Map([Rule(pattern, endpoint=pattern) for pattern in METHODS], strict_slashes=True, merge_slashes=False).bind("")


def names_app(pattern: str) -> bool:
    """Whether a path of this pattern names an app, or no app is needed there."""
    return "<app_id>" in pattern or pattern in {"/", NOWHERE}


def app_in(path: str) -> str | None:
    """What a path calls its app, None if it names none."""
    try:
        _, values = _MAP.match(path, method="GET")
    except (NotFound, MethodNotAllowed):
        return None
    return values.get("app_id")


def pattern_of(path: str) -> str:
    """The pattern of the route that a path belongs to, `NOWHERE` if there is none."""
    try:
        pattern, _ = _MAP.match(path, method="GET")
    except (NotFound, MethodNotAllowed):
        return NOWHERE
    return str(pattern)
