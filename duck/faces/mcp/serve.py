"""The handlers of MCP's routes, with apps as tools."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from werkzeug import Response

import duck
from duck import apps, errors, invocation
from duck.callers import access
from duck.callers.settings import DEFAULT
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange, answering, document
from duck.faces import asking, jsonrpc
from duck.faces.jsonrpc import Identifier, RpcError
from duck.faces.mcp import results, rpc, tools
from duck.faces.mcp.rpc import Call
from duck.faces.mcp.tools import Named, Tool
from duck.faces.reply import Reply
from duck.faces.tokens import Signer
from duck.runs import bodies
from duck.runs.run import Kind, Run, RunRequest
from duck.streams import json

SERVER = {"name": "duck", "version": duck.__version__}
INSTRUCTIONS = (
    "Each tool runs an app of a Dify workspace. A chat remembers: send the conversation_id of its answer with the next query to "
    "go on. Files are given as links."
)
_FACE = "mcp"  # of tokens


@dataclass(slots=True)
class Context:
    """What an error needs: the request's `id`, the `call` if it is one of a tool, and whether the run `has_begun`."""

    id: Identifier | None = None
    call: Call | None = None
    has_begun: bool = False

    def refuses(self, error: DuckError) -> bool:
        """Whether an error is one of the protocol, and not the result of the call, which a model may read."""
        return error.status in ({503} if self.has_begun else {403, 429, 503})


def write_error(exchange: Exchange, error: DuckError) -> Response:
    """An error before the first chunk: of the protocol, or as the result of a tool."""
    context = exchange.context or Context()
    if context.call and not context.refuses(error):
        return document(rpc.result(context.call, results.failed(_message(error)), SERVER))
    number, data = (error.number, error.data) if isinstance(error, RpcError) else (error.status, None)
    if number == 400:
        # A fault of the body, or of headers that are too long.
        number = jsonrpc.PARSE_ERROR if exchange.context else jsonrpc.INVALID_REQUEST
    return document(jsonrpc.failure(context.id, number, error.message, data), error.status)


def _message(error: DuckError) -> str:
    """What a model reads of an error. A tool has arguments where other routes have inputs."""
    faults = [replace(fault, field=fault.field.removeprefix("inputs.")) for fault in error.faults]
    return errors.invalid_fields(faults).message if faults else error.message


@answering(errors=write_error)
def serve(exchange: Exchange, name: str | None, settings: Mapping[str, Any], dify: Gateway) -> Response:
    """One request of the protocol, for all apps that the caller may use or for the one that the route calls `name`."""
    exchange.context = Context()
    refused = _admitted(exchange, settings, name)
    exchange.refuse_other_origins()
    headers = exchange.request.headers
    body, version = bodies.read_json_value(exchange.request), headers.get("MCP-Protocol-Version")
    exchange.context.id = jsonrpc.id_of(body)
    call = rpc.read(body, version)
    if refused:
        raise refused
    named = _named(exchange, name)
    if call.is_notification:
        return Response(status=202)
    rpc.check_version(call, version)
    rpc.check_headers(call, headers.get("Mcp-Method"), headers.get("Mcp-Name"))
    match call.method:
        case "server/discover" if call.is_modern:
            return _result(call, {"supportedVersions": [rpc.MODERN, *rpc.LEGACY], **_ABILITIES}, lasts=True)
        case "initialize" if not call.is_modern:
            requested = call.params.get("protocolVersion")
            version = requested if requested in rpc.LEGACY else rpc.LEGACY[0]
            return _result(call, {"protocolVersion": version, **_ABILITIES, "serverInfo": SERVER})
        case "ping" if not call.is_modern:
            return _result(call, {})
        case "tools/list":
            return _result(call, {"tools": [tool.definition() for tool in _tools(exchange, named, dify)]}, lasts=True)
        case "tools/call":
            return _call(exchange, call, named, dify)
    raise RpcError(404 if call.is_modern else 200, jsonrpc.METHOD_NOT_FOUND, "This method is not supported.")


@answering(errors=write_error)
def unknown(exchange: Exchange, settings: Mapping[str, Any]) -> Response:
    """The answer to any other path or method below /mcp."""
    raise exchange.no_route(settings, "No such route. MCP is at POST /mcp for all apps, and at POST /mcp/<app_id> for one.")


_ABILITIES = {"capabilities": {"tools": {}}, "instructions": INSTRUCTIONS}


def _admitted(exchange: Exchange, settings: Mapping[str, Any], name: str | None) -> DuckError | None:
    """Why the caller has no access, which is told once the request's id is known. Raises `DuckError` for invalid settings."""
    try:
        exchange.admit(settings, name)
    except DuckError as error:
        if exchange.parsed is None:
            raise
        return error.again()
    return None


def _result(call: Call, content: Mapping[str, Any], *, lasts: bool = False) -> Response:
    return document(rpc.result(call, content, SERVER, lasts=lasts))


def _named(exchange: Exchange, name: str | None) -> list[Named]:
    """The apps as the caller's tools are named, or the one app that the route calls `name`. Raises `DuckError` 401."""
    named = tools.named(access.visible_apps(exchange.settings, exchange.caller))
    if name is None:
        return named
    app_id = exchange.entry.app_id
    return [each for each in named if each.app_id == app_id] or tools.named([(app_id, app_id)])


def _tools(exchange: Exchange, named: list[Named], dify: Gateway) -> list[Tool]:
    app_ids = [each.app_id for each in named]
    infos = apps.infos(exchange, dify, app_ids, forms_of=app_ids)

    def tool(named: Named, info: Mapping[str, Any]) -> Tool:
        title, description = info.get("name", ""), info.get("description", "")
        presets, kind, form = _presets(exchange, named), info.get("kind"), info.get("form")
        return Tool(named=named, title=title, description=description, presets=presets, kind=kind, form=form)

    return [tool(each, infos.get(each.app_id, {})) for each in named]


def _presets(exchange: Exchange, named: Named) -> frozenset[str]:
    """The inputs of the app that the settings give."""
    settings = exchange.settings
    presets = settings.presets if named.app_id == settings.names.get(DEFAULT) else {}
    return frozenset(name for name, value in presets.items() if isinstance(value, str | int | float) and value != "")


def _call(exchange: Exchange, call: Call, named: list[Named], dify: Gateway) -> Response:
    """The result of a tool."""
    wrong = 400 if call.is_modern else 200
    found = next((each for each in named if each.name == call.params.get("name")), None)
    if found is None:
        raise RpcError(wrong, jsonrpc.INVALID_PARAMS, "Unknown tool. tools/list has those that there are.")
    arguments = call.params.get("arguments", {})
    if not isinstance(arguments, dict):
        raise RpcError(wrong, jsonrpc.INVALID_PARAMS, "arguments must be an object.")
    if len(arguments) > bodies.MAX_FIELDS:
        raise RpcError(wrong, jsonrpc.INVALID_PARAMS, f"More than {bodies.MAX_FIELDS} arguments.")
    exchange.context.call = call
    exchange.reach(found.app_id)
    tool = _tool(exchange, found, dify, anew=False)
    if tool.faults(arguments):
        tool = _tool(exchange, found, dify, anew=True)  # a form from the cache may be out of date
    if faults := tool.faults(arguments):
        raise errors.invalid_fields(faults)
    return asking.by_kind(exchange, dify, lambda kind: _run(exchange, call, tool, arguments, kind, dify))


def _tool(exchange: Exchange, named: Named, dify: Gateway, *, anew: bool) -> Tool:
    """The tool as far as a call needs it. With `anew` its form is not from the cache."""
    kind, form = apps.kind_of(exchange, dify), apps.form(exchange, dify, anew=anew)
    return Tool(named=named, presets=_presets(exchange, named), kind=kind, form=form)


def _run(exchange: Exchange, call: Call, tool: Tool, arguments: Mapping[str, Any], kind: Kind, dify: Gateway) -> Response:
    signer = asking.signer(exchange, dify, _FACE)
    run = Run(kind=kind, app_id=tool.named.app_id, inputs=tool.inputs(arguments, kind), mode="streaming")
    if kind == "chat":
        conversation_id = _conversation(arguments.get("conversation_id", ""), signer)
        run = replace(run, query=arguments["query"], conversation_id=conversation_id)

    def finish(reply: Reply) -> Mapping[str, Any]:
        begun = reply.begun
        shown = signer.sign(begun.conversation_id, begun.message_id) if signer.guest else begun.conversation_id
        conversation_id = shown if begun.conversation_id else None
        return results.succeeded(reply, conversation_id, is_chat=kind == "chat", knows_links=call.knows_links)

    exchange.entry.kind = kind
    invoked = invocation.prepare(exchange, RunRequest(run=run), dify)
    exchange.context.has_begun = True
    writer = results.Results(call, SERVER, finish)
    response = invoked.stream(writer, writer.headers)
    if writer.is_document:
        response.content_type = json.CONTENT_TYPE
    return response


def _conversation(given: str, signer: Signer) -> str:
    found = asking.conversation(given, signer) if given else ""
    if found is None:
        raise errors.invalid_field("conversation_id", "no such conversation. Leave it out to start one")
    return found
