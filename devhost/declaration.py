"""Reads what a plugin declares, and validates it as Dify does. No I/O but reading files."""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ValidationError

from devhost.schema import ASSETS, NAME, Group, HasFile, Manifest, Permission, Route, Setting

# In Dify's words.
NO_PERMISSION = "permission denied, you need to enable endpoint access in plugin manifest"
NO_REQUIREMENTS = "neither pyproject.toml nor requirements.txt found in plugin directory"


class StartError(Exception):
    """The plugin cannot be served: Dify would refuse it or its settings, or it does not start. The text is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a plugin declares.

    `permissions` are the enabled ones: `app`, `endpoint`, `storage`, ... `storage_size` is in bytes. `settings` and `routes`
    come from the last endpoint group.
    """

    manifest: Manifest
    permissions: frozenset[str]
    storage_size: int
    settings: tuple[Setting, ...]
    routes: tuple[Route, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the declaration of the plugin in the folder.

        Raises `StartError` if there is no plugin, or if Dify would not install it, start it or set up an endpoint.
        """
        if not folder.is_dir():
            raise StartError(f"there is no folder {folder}")
        path = folder / "manifest.yaml"
        if not path.is_file():
            raise StartError(f"{folder} holds no plugin: it has no manifest.yaml")

        def has_file(name: str) -> bool:
            return (folder / name).is_file()

        manifest = _validate(Manifest, read_mapping(path, "a plugin manifest"), has_file, path)
        if not (has_file("pyproject.toml") or has_file("requirements.txt")):
            raise StartError(f"{folder}: {NO_REQUIREMENTS}")
        # The SDK serves the routes of all groups; an installed package has the settings of the last group.
        groups = [
            _group(read_mapping(folder / name, "an endpoint group"), folder, has_file, folder / name) for name in manifest.groups
        ]
        return cls._of(manifest, *groups[-1], str(path))

    @classmethod
    def sent(cls, manifest: object, groups: list[object], assets: Collection[str]) -> Self:
        """The declaration that a plugin sends for remote debugging; `assets` are the names of the assets that it sent.

        Raises `StartError` as `read` does. Of several groups the daemon reads the first one here.
        """

        def has_file(name: str) -> bool:
            return not name.startswith(ASSETS) or name.removeprefix(ASSETS) in assets  # only assets are sent

        if not groups:
            raise StartError("endpoint_declaration: there is none")
        checked = _validate(Manifest, manifest, has_file, "manifest_declaration")
        return cls._of(checked, *_group(groups[0], Path(), has_file, "endpoint_declaration"), "manifest_declaration")

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


def _group(content: object, folder: Path, has_file: HasFile, where: Path | str) -> tuple[tuple[Setting, ...], tuple[Route, ...]]:
    group = _validate(Group, content, has_file, where)
    routes = []
    for number, row in enumerate(group.endpoints):
        if isinstance(row, str):  # relative to the plugin's folder, not to the group's folder
            routes.append(_validate(Route, read_mapping(folder / row, "an endpoint"), has_file, folder / row))
        else:
            routes.append(_validate(Route, row, has_file, f"{where}: endpoints.{number}"))
    return tuple(group.settings), tuple(routes)


def plugin_name(folder: Path) -> str | None:
    """The name in the manifest of the folder's plugin, or None if there is no valid name."""
    with suppress(StartError):
        name = read_mapping(folder / "manifest.yaml", "a plugin manifest").get("name")
        if isinstance(name, str) and re.fullmatch(NAME, name):
            return name
    return None


def read_mapping(path: Path, kind: str) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Raises `StartError` if there is none; it names the `kind` of file that is expected."""
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
    raise StartError(f"{path} is not {kind}: {reason}")


def _validate[M: BaseModel](model: type[M], content: object, has_file: HasFile, where: Path | str) -> M:
    try:
        return model.model_validate(content, context=has_file)
    except ValidationError as error:
        first = error.errors()[0]
        fields = ".".join(map(str, first["loc"]))
        rule = first["msg"].removeprefix("Value error, ")
        raise StartError(": ".join(filter(None, (str(where), fields, rule)))) from error
