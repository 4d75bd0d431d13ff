"""The schemas of a manifest, an endpoint group and a route, as Dify validates them.

Dify validates twice: the daemon when the plugin is installed, the SDK when the plugin starts. A value is refused here if either
of them refuses it. Unknown keys are ignored, as both do.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from packaging.version import InvalidVersion
from packaging.version import Version as PythonVersion
from pydantic import AfterValidator, AliasPath, AnyUrl, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

ASSETS = "_assets/"
MODEL_SCOPES = ("llm", "text-embedding", "rerank", "tts", "speech2text", "moderation", "vision")
SCOPES: Mapping[str, Iterable[str]] = {
    "app-selector": ("all", "chat", "workflow", "completion"),
    "model-selector": (*MODEL_SCOPES, "document", "tool-call"),  # no value can be saved with the last two
}
NAME = "[a-z0-9_-]{1,128}"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

type HasFile = Callable[[str], bool]


def _time(value: object) -> str:
    """A time in RFC 3339. PyYAML turns a time without quotes into a `datetime`."""
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


def _file(name: str, info: ValidationInfo[HasFile]) -> str:
    """The name of one of the plugin's files; the validation's context checks that the file exists."""
    if not info.context(name):
        raise ValueError(f"there is no file {name}")
    return name


def _asset(name: str, info: ValidationInfo[HasFile]) -> str:
    return _file(ASSETS + name, info)


def _scope(scope: str, info: ValidationInfo[Any]) -> str:
    """One known part of `a&b` is enough, even though such a model-selector cannot be saved."""
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
    """Strict: the daemon does not take `"true"` as a boolean, and the SDK does not take `3.12` as a string."""

    model_config = ConfigDict(frozen=True, strict=True)


class I18n(_Model):
    """A text for people, in the languages of Dify's console."""

    en: Text = Field(validation_alias="en_US")
    zh: Text | None = Field(None, validation_alias="zh_Hans")
    ja: Text | None = Field(None, validation_alias="ja_JP")
    pt: Text | None = Field(None, validation_alias="pt_BR")


class Option(_Model):
    """One option of a select."""

    value: Text
    label: Text = Field(validation_alias=AliasPath("label", "en_US"))


class Setting(_Model):
    """One setting of an endpoint."""

    name: Text
    type: Literal["secret-input", "text-input", "select", "boolean", "model-selector", "app-selector", "array[tools]"]
    label: Text = Field(validation_alias=AliasPath("label", "en_US"))
    required: bool = False
    scope: Annotated[str, AfterValidator(_scope)] | None = None
    options: list[Option] | None = None
    default: int | float | str | bool | list[Any] | None = None  # only prefills the form in Dify's console
    help: I18n | None = None
    placeholder: I18n | None = None
    url: str | None = None


class Route(_Model):
    """One route: a Werkzeug rule, a method, and the source file of its class. `hidden` affects only Dify's console."""

    path: Annotated[str, Field(pattern="^/")]
    method: Literal["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS"]
    hidden: bool = False
    source: Annotated[str, AfterValidator(_file)] = Field(validation_alias=AliasPath("extra", "python", "source"))


class Group(_Model):
    """An endpoint group: settings and routes."""

    settings: list[Setting] = []
    endpoints: list[Any] = []  # each is the path of a file, or a route


class Permission(_Model):
    """One permission of a manifest."""

    enabled: bool | None = False
    size: int = Field(default=1_048_576, ge=1_024, le=1_073_741_824)  # bytes; only of `storage`


class Manifest(_Model):
    """The fields of `manifest.yaml`."""

    version: Version
    type: Literal["plugin"]
    author: Annotated[str, Field(pattern="^[a-z0-9_-]{1,64}$"), AfterValidator(_no_uuid)]
    name: str = Field(pattern=f"^{NAME}$")
    label: Text = Field(validation_alias=AliasPath("label", "en_US"))
    description: Text = Field(validation_alias=AliasPath("description", "en_US"))
    icon: Icon
    icon_dark: Icon | None = None
    repo: AnyUrl | None = None
    tags: list[Tag] | None = None
    created_at: Annotated[str, BeforeValidator(_time)]
    memory: int = Field(validation_alias=AliasPath("resource", "memory"), gt=0)
    permissions: dict[str, Permission | None] | None = Field(None, validation_alias=AliasPath("resource", "permission"))
    groups: list[str] = Field(validation_alias=AliasPath("plugins", "endpoints"), min_length=1)
    meta_version: Version = Field(validation_alias=AliasPath("meta", "version"))
    arch: list[Literal["amd64", "arm64"]] = Field(validation_alias=AliasPath("meta", "arch"), min_length=1)
    language: Literal["python"] = Field(validation_alias=AliasPath("meta", "runner", "language"))
    python_version: Text = Field(validation_alias=AliasPath("meta", "runner", "version"))
    entrypoint: Text = Field(validation_alias=AliasPath("meta", "runner", "entrypoint"))
    minimum_dify_version: Annotated[str, AfterValidator(_any_version)] | None = Field(
        None, validation_alias=AliasPath("meta", "minimum_dify_version")
    )
