"""The responses to browsers: an app's page, its answer as it grows, the list of apps, and errors."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from werkzeug import Request, Response

from duck import apps, invocation, long_runs
from duck.callers import access, senders, signatures
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange
from duck.faces import page
from duck.faces.page import frame, hook, marks
from duck.faces.page.fields import PageFields
from duck.faces.page.hook import Preview
from duck.faces.page.human import Waiting
from duck.faces.page.index import ANY_URL, APP, FORMAT, landing_page
from duck.faces.page.view import Turn, View, repeated
from duck.faces.page.words import ENGLISH, WORDS
from duck.runs import bodies
from duck.runs.run import Kind, Run, RunRequest

_EMBED = (Path(__file__).parent / "embed.js").read_bytes()
_EMBED_S = 3600  # for which browsers may keep it: it is part of each page of a website
_ICON = Path(__file__).parents[3] / "_assets" / "icon.svg"
ORIGINAL = "/duck/<app_id>"  # a browser's GET runs the app; its page's form is sent to another route


def form(exchange: Exchange, name: str, wanted: RunRequest, dify: Gateway) -> Response:
    """The page of the app that the route calls `name`, with the form that runs it."""
    gateway = apps.gateway_for(exchange, dify)
    exchange.context = view = _view(exchange, name, wanted, gateway)
    apps.fetch_form(exchange, wanted.run.kind, gateway)
    webhook = view.url + hook.path(name, capability) if (capability := _capability(exchange, name)) else ""
    fault = "" if exchange.caller.guest else gateway.form_fault(exchange.entry.app_id)
    return _page(exchange, page.form_page(replace(view, form=exchange.form, form_fault=fault, webhook=webhook)))


def webhook(exchange: Exchange, name: str, dify: Gateway, sample: str = "", preview: Preview | None = None) -> Response:
    """The page of the webhook of the app that the route calls `name`. `preview` is what the `sample` would fill in."""
    kind: Kind = apps.kind_of(exchange, dify) or "chat"
    wanted = RunRequest(run=Run(kind=kind, app_id=exchange.entry.app_id, inputs={}))
    view = _view(exchange, name, wanted, apps.gateway_for(exchange, dify))
    view = replace(view, description="", root="../" * exchange.request.path.strip("/").count("/"))
    exchange.context = view
    body = hook.hook_page(
        view,
        capability=_capability(exchange, name),
        senders=[sender.name for sender in signatures.SENDERS],
        secrets=len(exchange.settings.webhook_secrets.get(exchange.entry.app_id, ())),
        sample=sample,
        preview=preview,
    )
    return _page(exchange, body)


def run(exchange: Exchange, name: str, wanted: RunRequest, fields: PageFields, dify: Gateway) -> Response:
    """A run as a page that grows: a new one, or with a form among the page's own `fields` one that has waited for it."""
    if exchange.request.method == "GET":  # else a link could lead people into somebody else's conversation
        wanted = replace(wanted, run=replace(wanted.run, conversation_id=""))
    exchange.context = _view(exchange, name, wanted, apps.gateway_for(exchange, dify, wanted.run.user), fields.turns)
    if fields.form:
        return _go_on(exchange, wanted, fields, dify)
    call = invocation.prepare(exchange, wanted, dify)
    return call.stream(page.Html(replace(exchange.context, form=exchange.form)), headers(exchange))


def resumed(exchange: Exchange, name: str, run_id: str, user: str, dify: Gateway) -> Response:
    """The page of a run that was begun before, from here on."""
    kind: Kind = apps.kind_of(exchange, dify) or "workflow"
    wanted = RunRequest(run=Run(kind=kind, app_id=exchange.entry.app_id, inputs={}, user=user))
    view = _view(exchange, name, wanted, apps.gateway_for(exchange, dify, user))
    exchange.context = view = replace(view, root="../../", action=f"../../{kind}/{quote(name, safe='')}")
    call = long_runs.resumed(exchange, dify, run_id, user)
    apps.form(exchange, dify)
    return call.stream(page.Resumed(replace(view, form=exchange.form)), headers(exchange))


def _go_on(exchange: Exchange, wanted: RunRequest, fields: PageFields, dify: Gateway) -> Response:
    view, user = exchange.context, wanted.run.user
    try:
        long_runs.answer_form(exchange, dify, fields.form, wanted.run.inputs, fields.action, user)
    except DuckError as error:
        if error.faults:  # else the form is gone
            form = long_runs.fetch_form(exchange, dify, fields.form, user)
            exchange.context = replace(view, waiting=Waiting(token=fields.form, run=fields.run, form=form))
        raise
    apps.form(exchange, dify)
    call = long_runs.resumed(exchange, dify, fields.run, user)
    return call.stream(page.Html(replace(view, form=exchange.form)), headers(exchange))


def chosen(exchange: Exchange, names: Sequence[str]) -> str | None:
    """The app that the list explains to programs: of those with these names the requested one, else the first."""
    name = bodies.query_value(exchange.request, APP)
    return name if name in names else next(iter(names), None)


def index(exchange: Exchange, document: Mapping[str, Any], chosen: str | None, sign_in: str) -> Response:
    """The list of apps. `document` is what programs get, `sign_in` the address where a guest can sign in, "" for none.

    It tells how to call the app with the name `chosen`.
    """
    request = exchange.request
    format_name = bodies.query_value(request, FORMAT) or ""
    page = landing_page(
        document,
        language=language(request),
        sign_in=sign_in,
        chosen=chosen,
        format_name=format_name,
        origin=_origin(exchange),
        url_is_set=bool(exchange.settings.public_url),
        capability=_capability(exchange, chosen) if chosen else "",
    )
    return _page(exchange, page)


def error(exchange: Exchange, failure: DuckError) -> Response:
    """The page for an error before the first chunk."""
    depth, settings = exchange.request.path.count("/") - 1, exchange.parsed
    has_list = settings is not None and (settings.public or not exchange.caller.guest)
    home = ("../" * depth or "./") if failure.code == "not_found" else "../" * depth if has_list else ""
    view: View | None = exchange.context
    body = page.error_page(
        failure,
        view and replace(view, form=exchange.form, faults=failure.faults),
        language=language(exchange.request),
        home=home,
        part=_wants_part(exchange.request),
        can_sign_in=failure.status == 401 and settings is not None and bool(settings.keys),
    )
    return _page(exchange, body, failure.status)


def headers(exchange: Exchange) -> Mapping[str, str]:
    """The headers of a page, or of a part of one, whose script knows by `X-Duck-Part` that it comes from Duck."""
    view: View | None = exchange.context
    part = {"X-Duck-Part": "1"} if _wants_part(exchange.request) else {}
    return {**frame.headers(exchange.parsed.origins if exchange.parsed else (), view.sheet if view else ""), **part}


def icon(exchange: Exchange) -> Response:
    """The mark of an app, as the query string describes it, for tabs of browsers, which want an address. Without it, Duck's."""
    sign = bodies.query_value(exchange.request, "icon")
    background = bodies.query_value(exchange.request, "background") or ""
    body = _ICON.read_bytes() if sign is None else frame.drawn(marks.read(sign, background))
    return Response(body, headers=frame.MARK_HEADERS)


def script() -> Response:
    """The script that puts an app's page behind a button on another website. It is the same for everybody."""
    return Response(_EMBED, headers={"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": f"max-age={_EMBED_S}"})


def language(request: Request) -> str:
    """The language of the page's own words, by the request's `Accept-Language`."""
    return request.accept_languages.best_match(WORDS, ENGLISH) or ENGLISH


def _page(exchange: Exchange, body: bytes, status: int = 200) -> Response:
    return Response(body, status, headers(exchange))


def _origin(exchange: Exchange) -> str | None:
    """The origin of the endpoint's pages, None if it is not known."""
    address = exchange.public_url
    return address and address.partition("/e/")[0]


def _view(exchange: Exchange, name: str, wanted: RunRequest, dify: Gateway, turns: tuple[Turn, ...] = ()) -> View:
    """The content of the app's page, without the app's form and the request's faults."""
    request, app = exchange.request, apps.describe(dify)
    return View(
        language=language(request),
        kind=wanted.run.kind,
        name=name,
        title=app.title,
        description=app.description,
        site=app.site,
        takes_files=app.takes_files and wanted.run.kind != "workflow",
        can_stop=app.can_stop,
        action=f"../workflow/{quote(name, safe='')}" if exchange.entry.route == ORIGINAL else "?",
        **repeated(wanted.run.query, wanted.run.inputs, wanted.files),
        conversation_id=wanted.run.conversation_id if request.method == "POST" else "",  # see `run`
        turns=turns,
        guest=exchange.caller.guest,
        origin=_origin(exchange),
        url=exchange.public_url or ANY_URL,
        url_is_set=bool(exchange.settings.public_url),
        part=_wants_part(request),
    )


def _capability(exchange: Exchange, name: str) -> str:
    """The last part of the address that opens the webhook of the app that the caller calls `name`; "" for a guest."""
    app_id = access.id_of(name, exchange.settings)
    return "" if exchange.caller.guest or not app_id else next(iter(senders.capabilities(exchange.settings, app_id)), "")


def _wants_part(request: Request) -> bool:
    """Whether the page's script sent the request. It needs only the new part of the page."""
    return "X-Duck-Part" in request.headers
