"""The page's own words and Duck's messages to callers, in the languages of Dify's plugins. Pure.

Texts of apps, users and Dify are not translated.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from duck.texts import Text

ENGLISH = "en"

_CATALOGS = {
    path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted((Path(__file__).parent / "languages").glob("*.toml"))
}
# By language, each with the same keys: `lang` is the page's `lang` attribute, `error.CODE` the title of errors with that code.
WORDS: Mapping[str, Mapping[str, str]] = {
    language: {**catalog["words"], **catalog["script"], **{f"error.{code}": title for code, title in catalog["errors"].items()}}
    for language, catalog in _CATALOGS.items()
}
# By language, the words that the page's script needs, too.
SCRIPT: Mapping[str, Mapping[str, str]] = {language: catalog["script"] for language, catalog in _CATALOGS.items()}
# By language, a translation of each English template, with the same placeholders.
MESSAGES: Mapping[str, Mapping[str, str]] = {language: catalog.get("messages", {}) for language, catalog in _CATALOGS.items()}


def translate(text: str, language: str) -> str:
    """A `Text` in this language; any other string unchanged."""
    if not isinstance(text, Text):
        return text
    template = MESSAGES[language].get(text.template, text.template)
    values = {name: translate(value, language) if isinstance(value, str) else value for name, value in text.values.items()}
    return template.format(**values) if values else template
