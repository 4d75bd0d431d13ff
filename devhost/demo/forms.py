"""Forms of apps, as `fetch_app` returns them. Basic apps and workflows describe their variables differently."""

from typing import Any

from devhost.apps import MINIMAL_FORM, Event

# The fields that every file variable of a workflow has.
UPLOADS: Event = {"allowed_file_extensions": [], "allowed_file_upload_methods": ["local_file", "remote_url"]}


def form(*variables: Event, **changes: Any) -> Event:
    """A form with these variables."""
    return {**MINIMAL_FORM, "user_input_form": list(variables), **changes}


def basic(control: str, variable: str, label: str, *, required: bool = False, **more: Any) -> Event:
    """A variable as chatbots, agents and completion apps describe it."""
    return {control: {"label": label, "variable": variable, "required": required, "default": "", "hide": False, **more}}


def variable(control: str, name: str, label: str, *, required: bool = False, **more: Any) -> Event:
    """A variable as chatflows and workflows describe it."""
    defaults = {"variable": name, "label": label, "type": control, "max_length": 48, "required": required, "options": []}
    return {control: {**defaults, **more}}
