"""What a plugin declares, checked as Dify checks it. Reads files, and does nothing else.

Dify reads a declaration twice: the daemon when the plugin is installed, the SDK when it starts. What either of them refuses
is refused here, and keys that neither knows are ignored, as both do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import yaml
from pydantic import AfterValidator, AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

MAX_SETTINGS = 64  # values that the daemon stores for one endpoint, declared or not

MODEL_KEYS = ("provider", "model", "model_type")
MODEL_SCOPES = {  # and what a value holds beyond `MODEL_KEYS`; with any other scope none can be saved
    **dict.fromkeys(("llm", "text-embedding", "speech2text", "moderation"), ()),
    "rerank": ("score_threshold", "top_n"),
    "tts": ("voice",),
    "vision": ("completion_params",),
}
SCOPES: Mapping[str, Iterable[str]] = {
    "app-selector": ("all", "chat", "workflow", "completion"),
    "model-selector": (*MODEL_SCOPES, "document", "tool-call"),
}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

# In Dify's words.
NO_PERMISSION = "permission denied, you need to enable endpoint access in plugin manifest"
NO_REQUIREMENTS = "neither pyproject.toml nor requirements.txt found in plugin directory"
BAD_SETTINGS = "failed to validate settings: "


class DeclarationError(Exception):
    """Dify would refuse the plugin, or the values of its settings; the text tells why, in one line."""


def _time(value: object) -> str:
    """A time in RFC 3339; YAML has times of its own, for which PyYAML gives a `datetime`."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if not RFC_3339.fullmatch(text):
        raise ValueError(f"{text} is no RFC 3339 time with an offset")
    datetime.fromisoformat(text)  # raises for a 13th month
    return text


def _no_uuid(text: str) -> str:
    try:
        UUID(text)
    except ValueError:
        return text
    raise ValueError("it must not be a UUID")


def _file(name: str, info: ValidationInfo[Path]) -> str:
    """A file of the plugin; the validation's context is the plugin's folder."""
    if not (info.context / name).is_file():
        raise ValueError(f"there is no file {name}")
    return name


def _asset(name: str, info: ValidationInfo[Path]) -> str:
    return _file(f"_assets/{name}", info)


def _scope(scope: str, info: ValidationInfo[Any]) -> str:
    """One known part of `a&b` is enough, even though no model-selector with it can be saved."""
    kind = info.data.get("type", "")
    if not {part.strip() for part in scope.split("&")}.intersection(SCOPES.get(kind, ())):
        raise ValueError(f"{scope!r} is not a valid scope of type {kind}")
    return scope


type Text = Annotated[str, Field(min_length=1, max_length=1023)]
type Version = Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){2}(-[0-9A-Za-z_]{1,16})?$")]
type Icon = Annotated[str, AfterValidator(_asset)]
type Source = Annotated[str, AfterValidator(_file)]


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
    source: Source = Field(validation_alias=AliasPath("extra", "python", "source"))


class _Group(_Model):
    settings: list[Setting] = []
    endpoints: list[Any] = []  # each the path of a file, or the route itself


class _Permission(_Model):
    enabled: bool | None = False
    size: int = Field(default=1_048_576, ge=1_024, le=1_073_741_824)  # bytes; of the storage alone


class _Manifest(_Model):
    version: Version
    type: Literal["plugin"]
    author: Annotated[str, Field(pattern="^[a-z0-9_-]{1,64}$"), AfterValidator(_no_uuid)]
    name: str = Field(pattern="^[a-z0-9_-]{1,128}$")
    label: Text = Field(validation_alias=AliasPath("label", "en_US"))
    description: Text = Field(validation_alias=AliasPath("description", "en_US"))
    icon: Icon
    icon_dark: Icon | None = None
    created_at: Annotated[str, BeforeValidator(_time)]
    memory: int = Field(validation_alias=AliasPath("resource", "memory"), gt=0)
    permissions: dict[str, _Permission | None] | None = Field(None, validation_alias=AliasPath("resource", "permission"))
    groups: list[str] = Field(validation_alias=AliasPath("plugins", "endpoints"), min_length=1)
    meta_version: Version = Field(validation_alias=AliasPath("meta", "version"))
    arch: list[Literal["amd64", "arm64"]] = Field(validation_alias=AliasPath("meta", "arch"), min_length=1)
    language: Literal["python"] = Field(validation_alias=AliasPath("meta", "runner", "language"))
    python_version: Text = Field(validation_alias=AliasPath("meta", "runner", "version"))
    entrypoint: Text = Field(validation_alias=AliasPath("meta", "runner", "entrypoint"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a plugin declares.

    `permissions` are those that are enabled: `app`, `endpoint`, `storage`, ... `settings` and `routes` are those of the last
    endpoint group. `warnings` tell of what Dify takes and yet does not do as one may expect, a line each.
    """

    name: str
    version: str
    entrypoint: str
    permissions: frozenset[str]
    settings: tuple[Setting, ...]
    routes: tuple[Route, ...]
    warnings: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the declaration of the plugin in the folder.

        Raises `DeclarationError` if there is no plugin, or one that Dify would not install, start, or set up an endpoint of.
        """
        if not folder.is_dir():
            raise DeclarationError(f"there is no folder {folder}")
        path = folder / "manifest.yaml"
        if not path.is_file():
            raise DeclarationError(f"{folder} holds no plugin: it has no manifest.yaml")
        manifest = _check(_Manifest, _load(path, "a plugin manifest"), folder, path)
        permissions = frozenset(name for name, given in (manifest.permissions or {}).items() if given and given.enabled)
        if "endpoint" not in permissions:
            raise DeclarationError(f"{path}: resource.permission.endpoint.enabled: {NO_PERMISSION}")
        if not any((folder / name).is_file() for name in ("pyproject.toml", "requirements.txt")):
            raise DeclarationError(f"{folder}: {NO_REQUIREMENTS}")
        # The SDK serves the routes of all groups; an installed package has the settings of the last one.
        groups = [_read_group(folder, name) for name in manifest.groups]
        settings, routes = groups[-1]
        return cls(
            name=manifest.name,
            version=manifest.version,
            entrypoint=manifest.entrypoint,
            permissions=permissions,
            settings=settings,
            routes=routes,
            warnings=tuple(_warnings(manifest.groups, settings, routes)),
        )


def validate_settings(settings: Iterable[Setting], values: Mapping[str, Any]) -> None:
    """Checks an endpoint's values as the daemon does when they are saved; raises `DeclarationError` in its words.

    Null is as good as absent, and "" is a value. Keys that are not declared pass, and so does all that `array[tools]` may
    hold. A `default` is no value: it only fills in the console's form.
    """
    if len(values) > MAX_SETTINGS:
        raise DeclarationError(f"{BAD_SETTINGS}too many setting fields")
    for setting in settings:
        value = values.get(setting.name)
        if value is None and setting.required:
            raise DeclarationError(f"{BAD_SETTINGS}missing required setting: {setting.name}")
        if value is not None and (fault := _fault(setting, value)):
            raise DeclarationError(f"{BAD_SETTINGS}setting {setting.name} {fault}")


def _fault(setting: Setting, value: object) -> str | None:
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
        case "app-selector":
            return _missing(value, ("app_id",))
        case "model-selector":
            scope = setting.scope or "llm"  # which asks for nothing more either
            fault = _missing(value, (*MODEL_KEYS, *MODEL_SCOPES.get(scope, ())))
            return fault or (None if scope in MODEL_SCOPES else "is not a valid model config scope")
    return None


def _missing(value: Any, keys: Iterable[str]) -> str | None:
    return next((f"is missing {key}" for key in keys if key not in value), None)


def _read_group(folder: Path, name: str) -> tuple[tuple[Setting, ...], tuple[Route, ...]]:
    path = folder / name
    group = _check(_Group, _load(path, "an endpoint group"), folder, path)
    routes = []
    for number, row in enumerate(group.endpoints):
        if isinstance(row, str):  # relative to the plugin's folder, not to the group's
            routes.append(_check(Route, _load(folder / row, "an endpoint"), folder, folder / row))
        else:
            routes.append(_check(Route, row, folder, f"{path}: endpoints.{number}"))
    return tuple(group.settings), tuple(routes)


def _load(path: Path, what: str) -> dict[str, Any]:
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
    raise DeclarationError(f"{path} is not {what}: {reason}")


def _check[M: BaseModel](model: type[M], content: object, folder: Path, where: Path | str) -> M:
    try:
        return model.model_validate(content, context=folder)
    except ValidationError as error:
        first = error.errors()[0]
        fields = ".".join(map(str, first["loc"]))
        rule = first["msg"].removeprefix("Value error, ")
        raise DeclarationError(": ".join(filter(None, (str(where), fields, rule)))) from error


def _warnings(groups: list[str], settings: Iterable[Setting], routes: Iterable[Route]) -> Iterator[str]:
    if len(groups) > 1:
        yield f"several endpoint groups: an installed package has {groups[-1]} only, a plugin being debugged {groups[0]} only"
    for setting in settings:
        if setting.name == "name":
            yield "setting name: the console strips it, since it calls the endpoint's own name so"
        if setting.type == "boolean" and setting.required:
            yield f"setting {setting.name}: the console cannot save a required boolean as false"
        if setting.type == "select" and not setting.options:
            yield f"setting {setting.name}: a select without options takes no value"
        if setting.type == "model-selector" and setting.scope and setting.scope not in MODEL_SCOPES:
            yield f"setting {setting.name}: no endpoint can be saved with the scope {setting.scope}"
    for route in routes:
        if route.path.endswith("/") and route.path != "/":
            yield f"route {route.path}: 404 without the slash at its end"
