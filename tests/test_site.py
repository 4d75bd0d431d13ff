"""How an app's owner wants it to look, from Dify to the page."""

from typing import Any

import pytest

from duck.dify import site as sites
from duck.dify.site import Site

ANSWER: dict[str, Any] = {  # Dify's own example
    "title": "My Chat App",
    "chat_color_theme": "#4A90D9",
    "chat_color_theme_inverted": False,
    "icon_type": "emoji",
    "icon": "🤖",
    "icon_background": "#FFFFFF",
    "icon_url": None,
    "description": "A helpful customer service chatbot.",
    "copyright": "2025 Dify",
    "privacy_policy": "https://example.com/privacy",
    "input_placeholder": "Ask me anything about our products...",
    "custom_disclaimer": "",
    "default_language": "en-US",
    "show_workflow_steps": False,
    "use_icon_as_answer_icon": True,
}


def test_a_site_has_what_its_owner_has_set() -> None:
    assert sites.read(ANSWER) == Site(
        title="My Chat App",
        description="A helpful customer service chatbot.",
        icon_type="emoji",
        icon="🤖",
        icon_background="#FFFFFF",
        colour="#4A90D9",
        copyright="2025 Dify",
        privacy_policy="https://example.com/privacy",
        placeholder="Ask me anything about our products...",
        shows_steps=False,
        has_answer_icon=True,
    )


@pytest.mark.parametrize("value", [None, 5, ["x"], {"a": 1}, True, "x" * 5_001])
def test_what_is_no_text_or_a_very_long_one_counts_as_not_set(value: Any) -> None:
    assert sites.read(dict.fromkeys(ANSWER, value) | {"use_icon_as_answer_icon": None}) == Site()


def test_an_icon_can_be_an_address() -> None:
    link = {"icon_type": "link", "icon": "https://example.com/icon.png", "icon_url": None}
    assert sites.read(link).icon_url == "https://example.com/icon.png"
    assert sites.read(link | {"icon_url": "https://example.com/other.png"}).icon_url == "https://example.com/other.png"
    assert sites.read(link | {"icon_type": "image"}).icon_url == ""
