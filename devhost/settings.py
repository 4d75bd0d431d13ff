"""Validates the values of an endpoint's settings as Dify does. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from devhost.declaration import StartError
from devhost.schema import MODEL_SCOPES, Setting

MAX_SETTINGS = 64  # values that the daemon stores for one endpoint, declared or not
BAD_SETTINGS = "failed to validate settings: "  # in Dify's words
KEYS = {"app-selector": ("app_id",), "model-selector": ("provider", "model", "model_type")}


def validate_settings(settings: Iterable[Setting], values: Mapping[str, Any]) -> None:
    """Validates the values as the daemon does when an endpoint is saved; raises `StartError` in the daemon's words.

    Null counts as absent, "" as a value. Undeclared keys and any value of `array[tools]` are accepted. A `default` is not
    applied: it only prefills the form in Dify's console.
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
    """Why the daemon refuses the value, or None."""
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
