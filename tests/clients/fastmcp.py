"""FastMCP's client."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.exceptions import ToolError

from tests.clients.checks import FIRST, KEY, NEXT, QUESTION, SECOND, expect, run

URL = os.environ.get("DUCK_URL", "")


def using(act: Callable[[Any], Awaitable[None]], *, path: str = "/mcp", key: str = KEY, mode: str = "auto") -> None:
    """Lets a connected client act."""

    async def connected() -> None:
        transport = StreamableHttpTransport(URL + path, headers={"Authorization": f"Bearer {key}"} if key else None)
        async with Client(transport, mode=mode) as client:
            await act(client)

    asyncio.run(connected())


async def list_(client: Any) -> None:
    expect(" ".join(tool.name for tool in await client.list_tools()), "chatbot", "workflow")


async def call(client: Any) -> None:
    result = await client.call_tool("chatbot", {"query": QUESTION})
    expect(result.content[0].text, QUESTION, FIRST)
    expect(result.structured_content["answer"], QUESTION, FIRST)
    assert result.data is not None


async def take_two_turns(client: Any) -> None:
    first = (await client.call_tool("chatbot", {"query": QUESTION})).structured_content
    second = await client.call_tool("chatbot", {"query": NEXT, "conversation_id": first["conversation_id"]})
    expect(second.content[0].text, NEXT, SECOND)


async def hear_of_progress(client: Any) -> None:
    notes = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        notes.append((progress, total, message))

    result = await client.call_tool("workflow", {"text": "Rain is coming."}, progress_handler=heard)
    expect(result.structured_content["outputs"]["summary"], "Rain is coming.")
    assert [count for count, _, _ in notes] == [*range(1, len(notes) + 1)]
    expect(" ".join(str(message) for _, _, message in notes), "Start", "Summarise", "End")


async def raise_when_a_run_fails(client: Any) -> None:
    try:
        await client.call_tool("fails-early", {"query": QUESTION})
    except ToolError as error:
        expect(str(error), "not initialized")
    else:
        raise AssertionError("no error")


async def find_one_app(client: Any) -> None:
    assert [tool.name for tool in await client.list_tools()] == ["workflow"]


async def find_public_apps(client: Any) -> None:
    names = [tool.name for tool in await client.list_tools()]
    assert "chatbot" in names
    assert "completion" not in names


def be_refused() -> None:
    try:
        using(list_, key="a-wrong-key")
    except Exception as error:  # noqa: BLE001 - FastMCP's own and its transport's
        expect(f"{error!r} {error.__cause__!r} {error.__context__!r}", "API key")
    else:
        raise AssertionError("no error")


EACH = {
    "lists": list_,
    "calls": call,
    "takes two turns": take_two_turns,
    "hears of progress": hear_of_progress,
    "raises when a run fails": raise_when_a_run_fails,
}
run(
    {
        f"{mode}: {name}": lambda act=act, mode=mode: using(act, mode=mode)
        for mode in ("auto", "legacy")
        for name, act in EACH.items()
    }
    | {
        "finds the one app of a path": lambda: using(find_one_app, path="/mcp/workflow"),
        "is a guest without a key": lambda: using(find_public_apps, key=""),
        "raises for a wrong key": be_refused,
    }
)
