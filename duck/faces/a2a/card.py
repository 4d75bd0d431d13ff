"""The card by which an app is found as an agent. Pure."""

from dataclasses import dataclass
from typing import Any

import duck
from duck.runs import attachments
from duck.runs.forms import Form, Variable

MAX_DESCRIPTION = 500  # characters of an opening statement
# What media types a variable takes that takes files of a kind.
_MEDIA_TYPES = {"image": "image/*", "audio": "audio/*", "video": "video/*", "document": "application/*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An app as an agent. `name` is what the caller calls it, `title` and `description` are Dify's, "" if not known.

    `url` is the address for its messages. A `public` one needs no key. The settings give values for the `presets`.
    """

    name: str
    url: str
    public: bool
    title: str = ""
    description: str = ""
    form: Form | None = None
    presets: frozenset[str] = frozenset()

    @property
    def variables(self) -> list[Variable]:
        """The inputs that a caller may give."""
        return [variable for variable in self.form.variables if not variable.hidden] if self.form else []

    def card(self) -> dict[str, Any]:
        """The card, for clients of A2A 1.0."""
        title, about = self.title or self.name, self._about()
        card = {
            "name": title,
            "description": about,
            "version": duck.__version__,
            "supportedInterfaces": [
                {"url": self.url, "protocolBinding": "JSONRPC", "protocolVersion": version} for version in ("1.0", "0.3")
            ],
            "capabilities": {"streaming": True, "pushNotifications": False},
            "defaultInputModes": self._input_modes(),
            "defaultOutputModes": ["text/plain"],
            "skills": [{"id": self.name, "name": title, "description": about + self._inputs(), "tags": ["dify"]}],
        }
        if self.public:
            return card
        return card | {
            "securitySchemes": {"key": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}},
            "securityRequirements": [{"schemes": {"key": {"list": []}}}],
        }

    def _about(self) -> str:
        opening = self.form.opening[:MAX_DESCRIPTION].strip() if self.form else ""
        return self.description.strip() or opening or f"Runs the app {self.name} in Dify."

    def _inputs(self) -> str:
        """A sentence about the inputs, "" for none, so that a model can give them."""
        told = [self._told(variable) for variable in self.variables if not variable.takes_files]
        return f"\n\nInputs, as an object in a data part: {', '.join(told)}." if told else ""

    def _told(self, variable: Variable) -> str:
        about = [f"one of {' | '.join(variable.options)}" if variable.options else variable.control]
        about += ["required"] if variable.required and variable.name not in self.presets else []
        return f"{variable.name} ({', '.join(about)})"

    def _input_modes(self) -> list[str]:
        files = [variable for variable in self.variables if variable.takes_files]
        files += [self.form.files] if self.form and self.form.files else []
        taken = [
            media_type
            for kind, media_type in _MEDIA_TYPES.items()
            if any(attachments.kind_for(variable, kind, "") for variable in files)
        ]
        takes_data = any(not variable.takes_files for variable in self.variables)
        return ["text/plain", *(["application/json"] if takes_data else []), *taken]
