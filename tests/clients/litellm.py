"""LiteLLM's SDK."""

from __future__ import annotations

from typing import Any

import litellm
import openai

from tests.clients.checks import FIRST, KEY, NEXT, QUESTION, SECOND, URL, expect, fails, run, said

litellm.suppress_debug_info = True


def ask(*texts: str, model: str = "chatbot", **options: Any) -> Any:
    return litellm.completion(model=f"openai/{model}", api_base=URL, api_key=KEY, messages=said(*texts), **options)


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def asks() -> None:
    answer = ask(QUESTION)
    expect(answer.choices[0].message.content, QUESTION, FIRST)
    assert answer.usage.total_tokens > 0


def streams() -> None:
    expect(text_of(ask(QUESTION, stream=True)), QUESTION, FIRST)


def tells_usage_of_streams() -> None:
    chunks = [*ask(QUESTION, stream=True, stream_options={"include_usage": True})]
    assert chunks[-1].usage.total_tokens > 0


def takes_two_turns() -> None:
    first = ask(QUESTION).choices[0].message.content
    expect(ask(QUESTION, first, NEXT).choices[0].message.content, NEXT, SECOND)


def takes_two_turns_in_streams() -> None:
    first = text_of(ask(NEXT, stream=True))
    expect(text_of(ask(NEXT, first, QUESTION, stream=True)), QUESTION, SECOND)


def uses_responses() -> None:
    def respond(given: str, **options: Any) -> Any:
        return litellm.responses(model="openai/chatbot", api_base=URL, api_key=KEY, input=given, **options)

    first = respond(QUESTION)
    expect(first.output[0].content[0].text, QUESTION, FIRST)
    second = respond(NEXT, previous_response_id=first.id)
    expect(second.output[0].content[0].text, NEXT, SECOND)
    deltas = [event.delta for event in respond(QUESTION, stream=True) if event.type == "response.output_text.delta"]
    expect("".join(deltas), QUESTION, FIRST)


def raises_when_a_run_fails() -> None:
    fails(lambda: ask(QUESTION, model="fails-early"), openai.APIError, "not initialized")


def raises_when_a_stream_fails() -> None:
    fails(lambda: [*ask(QUESTION, model="fails-midway", stream=True)], openai.APIError, "too many requests")


run(
    {
        "asks": asks,
        "streams": streams,
        "tells usage of streams": tells_usage_of_streams,
        "takes two turns": takes_two_turns,
        "takes two turns in streams": takes_two_turns_in_streams,
        "uses Responses": uses_responses,
        "raises when a run fails": raises_when_a_run_fails,
        "raises when a stream fails": raises_when_a_stream_fails,
    }
)
