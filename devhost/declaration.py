"""What a plugin declares, checked as Dify checks it. Reads files, and does nothing else.

Dify reads a declaration twice: the daemon when the plugin is installed, the SDK when it starts. What either of them refuses
is refused here, and keys that neither knows are ignored, as both do.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from packaging.version import InvalidVersion
from packaging.version import Version as PythonVersion
from pydantic import (
    AfterValidator,
    AliasPath,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

ASSETS = "_assets/"
MAX_SETTINGS = 64  # values that the daemon stores for one endpoint, declared or not

MODEL_SCOPES = ("llm", "text-embedding", "rerank", "tts", "speech2text", "moderation", "vision")
SCOPES: Mapping[str, Iterable[str]] = {
    "app-selector": ("all", "chat", "workflow", "completion"),
    "model-selector": (*MODEL_SCOPES, "document", "tool-call"),  # with the last two no value can be saved
}
KEYS = {"app-selector": ("app_id",), "model-selector": ("provider", "model", "model_type")}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

# In Dify's words.
NO_PERMISSION = "permission denied, you need to enable endpoint access in plugin manifest"
NO_REQUIREMENTS = "neither pyproject.toml nor requirements.txt found in plugin directory"
BAD_SETTINGS = "failed to validate settings: "


class StartError(Exception):
    """The plugin cannot be served: Dify would refuse it or its settings' values, or it does not start. The text tells why."""


type Holds = Callable[[str], bool]


def _time(value: object) -> str:
    """A time in RFC 3339; YAML has times of its own, for which PyYAML gives a `datetime`."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if not RFC_3339.fullmatch(text):
        raise ValueError(f"{text} is no RFC 3339 time with an offset")
    datetime.fromisoformat(text)  # raises for a 13th month
    return text


def _no_uuid(text: str) -> str:
    if UUID.fullmatch(text):
        raise ValueError("it must not be a UUID")
    return text


def _any_version(text: str) -> str:
    try:
        PythonVersion(text)
    except InvalidVersion as error:
        raise ValueError(f"{text} is no version") from error
    return text


def _file(name: str, info: ValidationInfo[Holds]) -> str:
    """A file of the plugin; the validation's context tells whether there is one."""
    if not info.context(name):
        raise ValueError(f"there is no file {name}")
    return name


def _asset(name: str, info: ValidationInfo[Holds]) -> str:
    return _file(ASSETS + name, info)


def _scope(scope: str, info: ValidationInfo[Any]) -> str:
    """One known part of `a&b` is enough, even though no model-selector with it can be saved."""
    kind = info.data.get("type", "")
    if not {part.strip() for part in scope.split("&")}.intersection(SCOPES.get(kind, ())):
        raise ValueError(f"{scope!r} is not a valid scope of type {kind}")
    return scope


type Text = Annotated[str, Field(min_length=1, max_length=1023)]
type Version = Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){2}(-[0-9A-Za-z_]{1,16})?$")]
type Tag = Literal[
    "agent",
    "business",
    "design",
    "education",
    "entertainment",
    "finance",
    "image",
    "medical",
    "news",
    "other",
    "productivity",
    "search",
    "social",
    "travel",
    "trigger",
    "utilities",
    "videos",
    "weather",
]
type Icon = Annotated[str, AfterValidator(_asset)]


class _Model(BaseModel):
    """Strict: a `"true"` is no boolean to the daemon, and a `3.12` no string to the SDK."""

    model_config = ConfigDict(frozen=True, strict=True)


class Option(_Model):
    """One of the values that a select takes."""

    value: Text
    label: Text = Field(validation_alias=AliasPath("label", "en_US"))


class Setting(_Model):
    """One setting of an endpoint, as the console asks for it."""

    name: Text
    type: Literal["secret-input", "text-input", "select", "boolean", "model-selector", "app-selector", "array[tools]"]
    label: Text = Field(validation_alias=AliasPath("label", "en_US"))
    required: bool = False
    scope: Annotated[str, AfterValidator(_scope)] | None = None
    options: list[Option] | None = None


class Route(_Model):
    """One route: a Werkzeug rule, its method, and the file with the class that answers. `hidden` concerns the console only."""

    path: Annotated[str, Field(pattern="^/")]
    method: Literal["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS"]
    hidden: bool = False
    source: Annotated[str, AfterValidator(_file)] = Field(validation_alias=AliasPath("extra", "python", "source"))


class _Group(_Model):
    settings: list[Setting] = []
    endpoints: list[Any] = []  # each the path of a file, or the route itself


class _Permission(_Model):
    enabled: bool | None = False
    size: int = Field(default=1_048_576, ge=1_024, le=1_073_741_824)  # bytes; of the storage alone


class Manifest(_Model):
    """What `manifest.yaml` says."""

    version: Version
    type: Literal["plugin"]
    author: Annotated[str, Field(pattern="^[a-z0-9_-]{1,64}$"), AfterValidator(_no_uuid)]
    name: str = Field(pattern="^[a-z0-9_-]{1,128}$")
    label: Text = Field(validation_alias=AliasPath("label", "en_US"))
    description: Text = Field(validation_alias=AliasPath("description", "en_US"))
    icon: Icon
    icon_dark: Icon | None = None
    repo: AnyUrl | None = None
    tags: list[Tag] | None = None
    created_at: Annotated[str, BeforeValidator(_time)]
    memory: int = Field(validation_alias=AliasPath("resource", "memory"), gt=0)
    permissions: dict[str, _Permission | None] | None = Field(None, validation_alias=AliasPath("resource", "permission"))
    groups: list[str] = Field(validation_alias=AliasPath("plugins", "endpoints"), min_length=1)
    meta_version: Version = Field(validation_alias=AliasPath("meta", "version"))
    arch: list[Literal["amd64", "arm64"]] = Field(validation_alias=AliasPath("meta", "arch"), min_length=1)
    language: Literal["python"] = Field(validation_alias=AliasPath("meta", "runner", "language"))
    python_version: Text = Field(validation_alias=AliasPath("meta", "runner", "version"))
    entrypoint: Text = Field(validation_alias=AliasPath("meta", "runner", "entrypoint"))
    minimum_dify_version: Annotated[str, AfterValidator(_any_version)] | None = Field(
        None, validation_alias=AliasPath("meta", "minimum_dify_version")
    )


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
            storage_size=permissions.get("storage", _Permission()).size,
            settings=settings,
            routes=routes,
        )


def validate_settings(settings: Iterable[Setting], values: Mapping[str, Any]) -> None:
    """Checks an endpoint's values as the daemon does when they are saved; raises `StartError` in its words.

    Null is as good as absent, and "" is a value. Keys that are not declared pass, and so does all that `array[tools]` may
    hold. A `default` is no value: it only fills in the console's form.
    """
    if len(values) > MAX_SETTINGS:
        raise StartError(f"{BAD_SETTINGS}too many setting fields")
    for setting in settings:
        value = values.get(setting.name)
        if value is None and setting.required:
            raise StartError(f"{BAD_SETTINGS}missing required setting: {setting.name}")
        if value is not None and (fault := _fault(setting, value)):
            raise StartError(f"{BAD_SETTINGS}setting {setting.name} {fault}")


def _fault(setting: Setting, value: Any) -> str | None:
    """What the daemon has against a value."""
    match setting.type:
        case "text-input" | "secret-input" | "select" if not isinstance(value, str):
            return "is not a string"
        case "select" if value not in [option.value for option in setting.options or ()]:
            return "is not a valid option"
        case "boolean" if not isinstance(value, bool):
            return "is not a boolean"
        case "app-selector" | "model-selector" if not isinstance(value, Mapping):
            return "is not a map"
        case "app-selector" | "model-selector" if missing := [key for key in KEYS[setting.type] if key not in value]:
            return f"is missing {missing[0]}"
        case "model-selector" if setting.scope not in {None, *MODEL_SCOPES}:
            return "is not a valid model config scope"
    return None


def _group(content: object, folder: Path, holds: Holds, where: Path | str) -> tuple[tuple[Setting, ...], tuple[Route, ...]]:
    group = _check(_Group, content, holds, where)
    routes = []
    for number, row in enumerate(group.endpoints):
        if isinstance(row, str):  # relative to the plugin's folder, not to the group's
            routes.append(_check(Route, read_mapping(folder / row, "an endpoint"), holds, folder / row))
        else:
            routes.append(_check(Route, row, holds, f"{where}: endpoints.{number}"))
    return tuple(group.settings), tuple(routes)


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
