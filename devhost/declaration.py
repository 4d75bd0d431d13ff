"""What a plugin declares, checked as Dify checks it. Reads files, and does nothing else."""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ValidationError

from devhost.schema import ASSETS, NAME, Group, Holds, Manifest, Permission, Route, Setting

# In Dify's words.
NO_PERMISSION = "permission denied, you need to enable endpoint access in plugin manifest"
NO_REQUIREMENTS = "neither pyproject.toml nor requirements.txt found in plugin directory"


class StartError(Exception):
    """The plugin cannot be served: Dify would refuse it or its settings' values, or it does not start. The text tells why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a plugin declares.

    `permissions` are those that are enabled: `app`, `endpoint`, `storage`, ... `storage_size` is in bytes. `settings` and
    `routes` are those of the last endpoint group.
    """

    manifest: Manifest
    permissions: frozenset[str]
    storage_size: int
    settings: tuple[Setting, ...]
    routes: tuple[Route, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the declaration of the plugin in the folder.

        Raises `StartError` if there is no plugin, or one that Dify would not install, start, or set up an endpoint of.
        """
        if not folder.is_dir():
            raise StartError(f"there is no folder {folder}")
        path = folder / "manifest.yaml"
        if not path.is_file():
            raise StartError(f"{folder} holds no plugin: it has no manifest.yaml")

        def holds(name: str) -> bool:
            return (folder / name).is_file()

        manifest = _check(Manifest, read_mapping(path, "a plugin manifest"), holds, path)
        if not (holds("pyproject.toml") or holds("requirements.txt")):
            raise StartError(f"{folder}: {NO_REQUIREMENTS}")
        # The SDK serves the routes of all groups; an installed package has the settings of the last one.
        groups = [
            _group(read_mapping(folder / name, "an endpoint group"), folder, holds, folder / name) for name in manifest.groups
        ]
        return cls._of(manifest, *groups[-1], str(path))

    @classmethod
    def sent(cls, manifest: object, groups: list[object], assets: Collection[str]) -> Self:
        """The declaration that a plugin sends by itself when it is debugged, with the names of its assets.

        Raises `StartError` for what `read` would refuse, too. Of several groups, the daemon looks at the first one here.
        """

        def holds(name: str) -> bool:
            return not name.startswith(ASSETS) or name.removeprefix(ASSETS) in assets  # other files are not sent

        if not groups:
            raise StartError("endpoint_declaration: there is none")
        checked = _check(Manifest, manifest, holds, "manifest_declaration")
        return cls._of(checked, *_group(groups[0], Path(), holds, "endpoint_declaration"), "manifest_declaration")

    @classmethod
    def _of(cls, manifest: Manifest, settings: tuple[Setting, ...], routes: tuple[Route, ...], where: str) -> Self:
        permissions = {name: given for name, given in (manifest.permissions or {}).items() if given and given.enabled}
        if "endpoint" not in permissions:
            raise StartError(f"{where}: resource.permission.endpoint.enabled: {NO_PERMISSION}")
        return cls(
            manifest=manifest,
            permissions=frozenset(permissions),
            storage_size=permissions.get("storage", Permission()).size,
            settings=settings,
            routes=routes,
        )


def _group(content: object, folder: Path, holds: Holds, where: Path | str) -> tuple[tuple[Setting, ...], tuple[Route, ...]]:
    group = _check(Group, content, holds, where)
    routes = []
    for number, row in enumerate(group.endpoints):
        if isinstance(row, str):  # relative to the plugin's folder, not to the group's
            routes.append(_check(Route, read_mapping(folder / row, "an endpoint"), holds, folder / row))
        else:
            routes.append(_check(Route, row, holds, f"{where}: endpoints.{number}"))
    return tuple(group.settings), tuple(routes)


def plugin_name(folder: Path) -> str | None:
    """The name of the plugin in the folder; None if its manifest has no valid name."""
    with suppress(StartError):
        name = read_mapping(folder / "manifest.yaml", "a plugin manifest").get("name")
        if isinstance(name, str) and re.fullmatch(NAME, name):
            return name
    return None


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML or JSON file that shall be `what`. Raises `StartError` where there is none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date like 2026-13-01
        reason = " ".join(str(error).split())
    else:
        if isinstance(content, dict):
            return content
        reason = "it holds no mapping"
    raise StartError(f"{path} is not {what}: {reason}")


def _check[M: BaseModel](model: type[M], content: object, holds: Holds, where: Path | str) -> M:
    try:
        return model.model_validate(content, context=holds)
    except ValidationError as error:
        first = error.errors()[0]
        fields = ".".join(map(str, first["loc"]))
        rule = first["msg"].removeprefix("Value error, ")
        raise StartError(": ".join(filter(None, (str(where), fields, rule)))) from error
