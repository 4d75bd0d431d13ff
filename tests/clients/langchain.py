"""LangChain's ChatOpenAI."""

import openai
from langchain_openai import ChatOpenAI

from tests.clients.checks import FIRST, KEY, NEXT, QUESTION, SECOND, URL, expect, fails, run, said


def model(name: str = "chatbot", **options: object) -> ChatOpenAI:
    return ChatOpenAI(model=name, base_url=URL, api_key=KEY, **options)


def asks() -> None:
    answer = model().invoke(QUESTION)
    expect(answer.content, QUESTION, FIRST)
    assert answer.usage_metadata["total_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"


def streams() -> None:
    chunks = [*model(stream_usage=True).stream(QUESTION)]
    expect("".join(chunk.content for chunk in chunks), QUESTION, FIRST)
    assert len(chunks) > 10
    assert sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata) > 0


def takes_two_turns() -> None:
    first = model().invoke(said(QUESTION))
    expect(model().invoke(said(QUESTION, first.content, NEXT)).content, NEXT, SECOND)


def takes_two_turns_in_streams() -> None:
    first = "".join(chunk.content for chunk in model().stream(said(NEXT)))
    second = "".join(chunk.content for chunk in model().stream(said(NEXT, first, QUESTION)))
    expect(second, QUESTION, SECOND)


def uses_responses() -> None:
    responses = model(use_responses_api=True, use_previous_response_id=True)
    first = responses.invoke(QUESTION)
    expect(first.text, QUESTION, FIRST)
    expect(responses.invoke([*said(QUESTION), first, *said(NEXT)]).text, NEXT, SECOND)
    expect("".join(chunk.text for chunk in responses.stream(QUESTION)), QUESTION, FIRST)


def passes_inputs() -> None:
    expect(model(extra_body={"inputs": {"name": "Ann"}}).invoke(QUESTION).content, "Hello, Ann!")


def raises_when_a_run_fails() -> None:
    fails(lambda: model("fails-early").invoke(QUESTION), openai.InternalServerError, "not initialized")


def raises_when_a_stream_fails() -> None:
    fails(lambda: [*model("fails-midway").stream(QUESTION)], openai.APIError, "too many requests")
    # For a failed response it raises no error of its own.
    fails(lambda: [*model("fails-midway", use_responses_api=True).stream(QUESTION)], ValueError, "too many requests")


def raises_for_tools() -> None:
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    fails(lambda: model().bind_tools([add]).invoke(QUESTION), openai.BadRequestError, "tools")


run(
    {
        "asks": asks,
        "streams": streams,
        "takes two turns": takes_two_turns,
        "takes two turns in streams": takes_two_turns_in_streams,
        "uses Responses": uses_responses,
        "passes inputs": passes_inputs,
        "raises when a run fails": raises_when_a_run_fails,
        "raises when a stream fails": raises_when_a_stream_fails,
        "raises for tools": raises_for_tools,
    }
)
