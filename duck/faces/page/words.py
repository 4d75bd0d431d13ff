"""The page's own words, in the languages that Dify's plugins speak, and what Duck tells callers in these. Pure.

What apps and people write, and what Dify says by itself, stays as it is.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from duck.texts import Text

ENGLISH = "en"

_CATALOGS = {
    path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted((Path(__file__).parent / "languages").glob("*.toml"))
}
# By language, each with the same keys; `lang` is its own name, `error.CODE` is the title of errors with that code.
WORDS: Mapping[str, Mapping[str, str]] = {
    language: {**catalog["words"], **{f"error.{code}": title for code, title in catalog["errors"].items()}}
    for language, catalog in _CATALOGS.items()
}
# By language what to say for each sentence in English: its template, with the same names to be filled in.
MESSAGES: Mapping[str, Mapping[str, str]] = {language: catalog.get("messages", {}) for language, catalog in _CATALOGS.items()}


def say(text: str, language: str) -> str:
    """A sentence of Duck's in this language; any other text as it is."""
    if not isinstance(text, Text):
        return text
    template = MESSAGES[language].get(text.template, text.template)
    values = {name: say(value, language) if isinstance(value, str) else value for name, value in text.values.items()}
    return template.format(**values) if values else template
