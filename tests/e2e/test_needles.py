"""What the demo's apps plant where guests must not see it: prompts, node inputs and outputs, thoughts, tools, documents."""

from collections.abc import Iterator
from unittest.mock import patch

import httpx
import pytest

from devhost import demo
from devhost.demo import chats, events
from tests.e2e.conftest import DEADLINE_S, Duck

# By the app that plants it. What was sent as an input comes back in a workflow's events, too; so does the id of Dify's user.
NEEDLES = {
    "agent": ["image has been created and sent to user", '"tool":"text2image"', "文生图"],
    "chatflow": [events.SYSTEM_PROMPT, "the spare key hangs behind", events.USER, "gpt-4o-mini", "langgenius"],
    "workflow": [events.SYSTEM_PROMPT, events.USER, events.END_USER, "gpt-4o-mini", "total_price"],
    "report": [events.USER, "sys.workflow_id", '"json":[{"data":[]}]'],
    "webhook": [events.USER, "sys.workflow_id"],
    "chatbot": ["total_price"],
    "completion": ["total_price"],
    "human-input": ["form_token", "Please review", events.USER],
    "human-chatflow": ["form_token", "asks for a refund", events.USER],
    "ten-minutes": [events.USER],
    "fails-early": ["credentials is not initialized"],
    "fails-midway": ["Rate Limit Error", "langgenius"],
    "fails-chatflow": ["API request failed", "langgenius", events.USER],
    "fails-unnamed": ["API request failed", "status code 429"],
    "moderated-answer": ["total_price"],
    "moderated-question": ["total_price"],
    "fails-late": ["Rate Limit Error", "langgenius", events.USER],
}
KINDS = {
    "workflow": "workflow",
    "report": "workflow",
    "webhook": "workflow",
    "human-input": "workflow",
    "ten-minutes": "workflow",
    "fails-late": "workflow",
    "completion": "completion",
}
INPUTS = {"workflow": {"text": "Rain"}, "completion": {"topic": "rain"}}


@pytest.fixture(scope="module")
def public(local: Duck) -> Iterator[Duck]:
    """Duck with the demo's apps, all of them public."""
    local.host.apps.update(demo.apps(pace=0))
    with patch.dict(local.host.settings, demo.settings(), public_apps=", ".join(demo.IDS.values()), public_rate="999999"):
        yield local


def ask(public: Duck, alias: str, style: str, mode: str, headers: dict[str, str]) -> str:
    """What a caller with these headers gets to read."""
    kind = KINDS.get(alias, "chat")
    body = {"query": "hi", "inputs": INPUTS.get(alias, {}), "response_mode": mode}
    url = f"{public.host.url}/{kind}/{alias}"
    return httpx.post(url, params={"format": style}, json=body, headers=headers, timeout=DEADLINE_S).text


@pytest.mark.parametrize("alias", NEEDLES)
def test_a_key_holder_finds_all_of_what_is_planted_and_a_guest_none(public: Duck, alias: str) -> None:
    """In the stream, the blocking answer and the page; tests/test_guests.py has every format."""
    found = ask(public, alias, "ndjson", "streaming", {"X-API-Key": demo.KEY}).replace('\\"', '"')
    assert [needle for needle in NEEDLES[alias] if needle not in found] == []
    for style, mode in (("ndjson", "streaming"), ("json", "blocking"), ("html", "streaming")):
        text = ask(public, alias, style, mode, {})
        assert text
        assert [needle for needle in NEEDLES[alias] if needle in text] == []


def test_every_app_of_the_demo_that_answers_is_here() -> None:
    assert {*demo.ALIASES} - {*NEEDLES} == {"completion-today", "slow"}, "the one says nothing, the other what the chatbot says"
    assert chats.QUOTE in chats.RESOURCE["content"]
