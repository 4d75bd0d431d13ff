"""What docs/clients.md has of programs for Node, and of configurations and commands for hosts of MCP, with what they name."""

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import TextContent

from tests.clients.checks import FIRST, QUESTION, expect, run
from tests.documents import Block, blocks

ADDRESS = "http://127.0.0.1:8000/e/duck"  # where `make demo` serves
NODE = Path(__file__).parents[2] / ".venv/clients/node"  # in this folder npx runs what is installed there
CALL = ["--method", "tools/call", "--tool-name", "chatbot", "--tool-arg", f"query={QUESTION}"]


def main() -> None:
    """Runs the blocks that can run here."""
    found = [block for block in blocks("docs/clients.md") if block.words in {("mcp",), ("agui",)}]
    run({f"{block}": check for block in found if (check := _check(block, block.text.replace(ADDRESS, os.environ["DUCK_URL"])))})


def _check(block: Block, text: str) -> Callable[[], None] | None:
    if block.language == "js":
        return lambda: _says(block, text)
    if block.language == "sh":
        return (lambda: _prints(["bash", "-euo", "pipefail", "-c", text])) if text.startswith("npx ") else None
    [server] = (json.loads(text).get("mcpServers") or {"": {}}).values()
    if "command" in server:
        return lambda: asyncio.run(_starts(server["command"], server["args"], server["env"]))
    return (lambda: _configures(text)) if "type" in server else None


def _says(block: Block, program: str) -> None:
    """Runs a program for Node in the folder with its packages. It prints what the document says."""
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=program, cwd=NODE, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode or not block.matches(done.stdout):
        raise AssertionError(done.stderr or done.stdout)


def _prints(command: list[str]) -> None:
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=120, check=False)
    expect(done.stdout or done.stderr, QUESTION, FIRST)


def _configures(text: str) -> None:
    """Connects the Inspector by a configuration."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(text)
        file.flush()
        _prints(["mcp-inspector", "--cli", "--config", file.name, "--server", "dify", *CALL])


async def _starts(command: str, words: list[str], environment: dict[str, str]) -> None:
    """Connects to a server that a host starts."""
    with tempfile.TemporaryDirectory() as home, Path(os.devnull).open("w") as quiet:
        everything = dict(os.environ) | {"HOME": home} | environment
        server = StdioServerParameters(command=command, args=words, env=everything, cwd=NODE)
        async with Client(stdio_client(server, errlog=quiet)) as client:
            assert "completion" in [tool.name for tool in (await client.list_tools()).tools]
            [answer, *_] = (await client.call_tool("chatbot", {"query": QUESTION})).content
            assert isinstance(answer, TextContent)
            expect(answer.text, QUESTION, FIRST)


main()
