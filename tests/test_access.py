"""Who may call, and which app they mean."""

import base64
from typing import Any

import pytest

from duck.callers import access, settings
from duck.callers.access import GUEST, Caller
from duck.callers.settings import Settings
from duck.errors import DuckError
from duck.faces.api import serve
from tests.support import APP, KEY, SETTINGS, Dify, basic, make_request

OTHER = "0b9a8c7d-1111-4222-8333-444455556666"
CLOSED = settings.parse({})
OPEN = settings.parse(SETTINGS)
HOST = "dify.example.com"
HOLDER = Caller(guest=False, explicit=True, user="key-1")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refusal(headers: dict[str, str], owner: Settings = OPEN, method: str = "POST", **options: Any) -> tuple[int, str] | None:
    """Status and code with which a caller is sent away, None for one who is let in."""
    request = make_request(method, "/chat/x", key=None, headers={"Host": HOST, **headers}, **options)
    try:
        caller = access.identify(request, owner)
        access.resolve(APP, owner, caller)
        access.refuse_other_sites(request, owner, caller)
    except DuckError as error:
        return error.status, error.code
    return None


ELSEWHERE: list[dict[str, str]] = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null", "Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize(
    "headers",
    [
        bearer(KEY),
        {"Authorization": f"bearer {KEY}"},
        {"X-API-Key": KEY},
        {"x-api-key": KEY},
        bearer("wrong") | {"X-API-Key": KEY},
        bearer(KEY) | {"X-API-Key": "wrong"},
        basic("wrong") | {"X-API-Key": KEY},
    ],
    ids=["Bearer", "bearer", "X-API-Key", "x-api-key", "wrong and right", "right and wrong", "wrong password, right key"],
)
def test_one_right_key_lets_in_from_anywhere(headers: dict[str, str]) -> None:
    assert [refusal(headers | elsewhere, method=method) for elsewhere in ELSEWHERE for method in ("GET", "POST")] == [None] * 8


@pytest.mark.parametrize("key", ["aaaaaa=b", "========", "YWJjYWJj==", 'aaaaaa="b"'])
def test_a_key_may_look_like_parameters(key: str) -> None:
    owner = settings.parse({"api_key": key})
    assert refusal(bearer(key), owner) is None
    assert refusal(bearer(key + "="), owner) == (401, "unauthorized")


@pytest.mark.parametrize("user", ["me", "", "wrong"])
def test_a_right_key_as_the_password_lets_in_whoever_the_user_is(user: str) -> None:
    assert refusal(basic(KEY, user)) is None


WRONG = {
    "nothing": {},
    "wrong Bearer": bearer("wrong"),
    "wrong X-API-Key": {"X-API-Key": "wrong"},
    "wrong password": basic("wrong"),
    "all wrong": basic("wrong") | {"X-API-Key": "wrong"},
    "empty Bearer": bearer(""),
    "empty X-API-Key": {"X-API-Key": ""},
    "empty password": basic(""),
    "key as the user": basic("", KEY),
    "beginning of the key": bearer(KEY[:-1]),
    "more than the key": bearer(KEY + "x"),
    "other case": bearer(KEY.upper()),
    "bare key": {"Authorization": KEY},
    "another scheme": {"Authorization": f"Token {KEY}"},
    "Basic that is no base64": {"Authorization": "Basic !!!"},
    "Basic without a colon": {"Authorization": "Basic " + base64.b64encode(KEY.encode()).decode()},
    "another header": {"X-Key": KEY},
    "cookie": {"Cookie": f"api_key={KEY}"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_without_a_right_key_nobody_is_let_in(headers: dict[str, str]) -> None:
    assert [refusal(headers, method=method) for method in ("GET", "POST")] == [(401, "unauthorized")] * 2


def test_a_key_in_the_url_or_the_body_is_not_read() -> None:
    names = ("key", "api_key", "apikey", "X-API-Key", "token", "access_token", "Authorization")
    assert refusal({}, method="GET", query_string=dict.fromkeys(names, KEY)) == (401, "unauthorized")
    assert refusal({}, json=dict.fromkeys(names, KEY)) == (401, "unauthorized")


@pytest.mark.parametrize("headers", [bearer(KEY), bearer(""), {"X-API-Key": ""}, basic(""), {}], ids=repr)
def test_where_no_key_is_set_nobody_is_let_in_and_told_why(headers: dict[str, str]) -> None:
    with pytest.raises(DuckError, match="No API key is set") as caught:
        access.resolve(APP, CLOSED, access.identify(make_request(key=None, headers=headers), CLOSED))

    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_a_refusal_tells_how_to_send_a_key_and_nothing_of_any() -> None:
    with pytest.raises(DuckError, match=r"Authorization: Bearer.*X-API-Key.*Basic") as caught:
        access.identify(make_request(key="a-wrong-key"), OPEN)

    assert KEY not in caught.value.message
    assert "a-wrong-key" not in caught.value.message


@pytest.mark.parametrize("key", ["the-old-key", "the-new-key", "the-newest-key"])
def test_each_of_several_keys_lets_in(key: str) -> None:
    owner = settings.parse({"api_key": "the-old-key, the-new-key the-newest-key"})

    assert refusal(bearer(key), owner) is None
    assert refusal({"X-API-Key": key}, owner) is None
    assert refusal(basic(key), owner) is None


@pytest.mark.parametrize("key", ["the-old-key the-new-key", "the-old-key,", "the-old-key, the-new-key", ",", " "])
def test_several_keys_together_are_none(key: str) -> None:
    assert refusal({"X-API-Key": key}, settings.parse({"api_key": "the-old-key, the-new-key"})) == (401, "unauthorized")


@pytest.mark.parametrize("key", ["schlüssel", "ключключ", "鍵" * 8, "🔑" * 8])
def test_a_key_need_not_be_ascii(key: str) -> None:
    owner = settings.parse({"api_key": key})

    assert refusal(bearer(key), owner) is None
    assert refusal({"X-API-Key": key}, owner) is None
    assert refusal(basic(key), owner) is None
    assert refusal(bearer("x" + key), owner) == (401, "unauthorized")


@pytest.mark.parametrize("key", ["ключ", "\x80\xff"])
def test_a_wrong_key_need_not_be_ascii(key: str) -> None:
    assert refusal({"X-API-Key": key}) == (401, "unauthorized")


def test_a_password_may_hold_colons() -> None:
    assert refusal(basic("a:b:c:d:e"), settings.parse({"api_key": "a:b:c:d:e"})) is None


FORBIDDEN = (403, "forbidden")


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("same-origin", None),
        ("none", None),
        ("same-site", FORBIDDEN),
        ("cross-site", FORBIDDEN),
        ("", FORBIDDEN),
        ("brand-new", FORBIDDEN),
    ],
)
def test_a_stored_password_counts_where_the_browser_says_that_it_is_sent_from_here(
    site: str, expected: tuple[int, str] | None
) -> None:
    assert [refusal(basic(KEY) | {"Sec-Fetch-Site": site}, method=method) for method in ("GET", "POST")] == [expected] * 2


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, None),
        (f"https://{HOST}", None),
        (f"http://{HOST}", None),
        (f"http://{HOST}:8080", None),
        (f"https://{HOST.upper()}", None),
        ("https://evil.example", FORBIDDEN),
        (f"https://{HOST}.evil.example", FORBIDDEN),
        (f"https://x.{HOST}", FORBIDDEN),
        (f"https://evil.example#{HOST}", FORBIDDEN),
        (f"https://{HOST}@evil.example", FORBIDDEN),
        ("null", FORBIDDEN),
        ("", FORBIDDEN),
        ("https://", FORBIDDEN),
        ("https://[", FORBIDDEN),
        (HOST, FORBIDDEN),
    ],
)
def test_a_post_with_a_stored_password_over_plain_http_must_come_from_the_same_host(
    origin: str | None, expected: tuple[int, str] | None
) -> None:
    headers = basic(KEY) | ({} if origin is None else {"Origin": origin})
    assert [refusal(headers | {"Host": host}) for host in (HOST, f"{HOST}:8443")] == [expected] * 2


@pytest.mark.parametrize("host", ["", "[", ":80"])
def test_no_origin_is_that_of_a_host_without_a_name(host: str) -> None:
    assert refusal(basic(KEY) | {"Host": host, "Origin": "null"}) == FORBIDDEN


@pytest.mark.parametrize("headers", [{}, {"Origin": f"https://{HOST}"}], ids=["without Origin", "with Origin"])
def test_a_get_that_would_run_an_app_by_a_stored_password_needs_the_browsers_word(headers: dict[str, str]) -> None:
    assert refusal(basic(KEY) | headers, method="GET") == FORBIDDEN


@pytest.mark.parametrize("site", ["same-origin", "none", "cross-site"])
@pytest.mark.parametrize("destination", ["image", "script", "object", "of-tomorrow"])
def test_what_a_page_embeds_runs_nothing_by_a_stored_password_nor_for_a_guest(destination: str, site: str) -> None:
    headers = {"Sec-Fetch-Dest": destination, "Sec-Fetch-Site": site}
    owner = settings.parse({**SETTINGS, "public_apps": APP, "allowed_origins": "https://a.example"})
    for sent in ({}, {"Origin": "https://a.example"}, {"Origin": f"https://{HOST}"}):
        assert refusal(basic(KEY) | headers | sent, owner, "GET") == (403, "forbidden")
        assert refusal(headers | sent, owner, "GET") == (403, "forbidden")
    assert refusal(bearer(KEY) | headers, owner, "GET") is None


@pytest.mark.parametrize("destination", ["document", "iframe", "frame", "empty"])
def test_a_person_and_a_script_of_this_origin_may_run_an_app(destination: str) -> None:
    assert refusal(basic(KEY) | {"Sec-Fetch-Dest": destination, "Sec-Fetch-Site": "same-origin"}, method="GET") is None


def test_a_program_that_sends_a_password_with_a_get_is_told_what_to_do() -> None:
    caller = Caller(guest=False, explicit=False, user="key-1")
    with pytest.raises(DuckError, match=r"GET with a password runs nothing.+X-API-Key") as caught:
        access.refuse_other_sites(make_request("GET", "/chat/x", key=None), OPEN, caller)
    assert (caught.value.status, caught.value.code) == (403, "forbidden")


def test_a_wrong_key_does_not_make_a_stored_password_explicit() -> None:
    assert refusal(basic(KEY) | {"X-API-Key": "wrong", "Sec-Fetch-Site": "cross-site"}) == FORBIDDEN


def test_another_site_with_a_wrong_password_learns_nothing_but_that() -> None:
    assert refusal(basic("wrong") | {"Sec-Fetch-Site": "cross-site"}) == (401, "unauthorized")


def test_a_stored_password_suffices_to_see_what_is_offered() -> None:
    assert serve.index(make_request("GET", "/", key=None, headers=basic(KEY)), SETTINGS, Dify().gateway()).status_code == 200


def test_a_stored_password_suffices_to_see_a_form() -> None:
    request = make_request("GET", f"/parameters/{APP}", key=None, headers=basic(KEY))

    assert serve.parameters(request, APP, SETTINGS, Dify(form={"user_input_form": []}).gateway()).status_code == 200


LISTED = settings.parse({"apps": f"support={APP}"})
BOTH = settings.parse({"apps": f"support={APP}", "default_app": {"app_id": OTHER}})
DEFAULT_ALONE = settings.parse({"default_app": {"app_id": OTHER}})


NAMES = {
    "id": (APP, OPEN, APP),
    "capitals, no hyphens": (APP.replace("-", "").upper(), OPEN, APP),
    "alias": ("support", LISTED, APP),
    "id of a listed app": (APP, LISTED, APP),
    "other spelling of a listed app": (APP.replace("-", "").upper(), LISTED, APP),
    "alias beside a default": ("support", BOTH, APP),
    "default": ("default", BOTH, OTHER),
    "id of the default beside a list": (OTHER.upper(), BOTH, OTHER),
    "default without a list": ("default", DEFAULT_ALONE, OTHER),
    "id beside a default": (APP, DEFAULT_ALONE, APP),
}


@pytest.mark.parametrize(("name", "owner", "app_id"), NAMES.values(), ids=NAMES.keys())
def test_an_app_is_reachable_by_alias_by_default_and_by_its_id_however_spelt(name: str, owner: Settings, app_id: str) -> None:
    assert access.resolve(name, owner, HOLDER) == app_id


UNKNOWN = {
    "unlisted": (OTHER, LISTED),
    "unknown alias": ("sales", LISTED),
    "default that is not set, with a list": ("default", LISTED),
    "default that is not set": ("default", OPEN),
    "alias where none is set": ("support", OPEN),
    "empty": ("", OPEN),
    "line's end": (APP + "\n", OPEN),
    "not ASCII": ("приложение", OPEN),
    "NUL": ("\x00", OPEN),
}


@pytest.mark.parametrize(("name", "owner"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_any_other_name_is_not_found(name: str, owner: Settings) -> None:
    with pytest.raises(DuckError) as caught:
        access.resolve(name, owner, HOLDER)

    assert (caught.value.status, caught.value.code) == (404, "app_not_found")


def test_an_unlisted_app_cannot_be_told_from_one_that_does_not_exist() -> None:
    messages = []
    for name in (OTHER, "junk"):
        with pytest.raises(DuckError) as caught:
            access.resolve(name, LISTED, HOLDER)
        messages.append(caught.value.as_dict())

    assert messages[0] == messages[1]


# Guests

PUBLIC = settings.parse({**SETTINGS, "public_apps": APP})


def test_a_public_app_needs_no_key_however_it_is_spelt() -> None:
    caller = access.identify(make_request(key=None), PUBLIC)
    assert {access.resolve(spelling, PUBLIC, caller) for spelling in (APP, APP.upper(), APP.replace("-", ""))} == {APP}


@pytest.mark.parametrize("name", [OTHER, "no-such-alias", "default", ""])
def test_a_guest_does_not_learn_which_other_apps_there_are(name: str) -> None:
    with pytest.raises(DuckError) as caught:
        access.resolve(name, PUBLIC, GUEST)
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


@pytest.mark.parametrize(
    "headers", [bearer("wrong"), {"X-API-Key": "wrong"}, basic("wrong"), {"Authorization": "junk"}], ids=repr
)
def test_who_brings_a_wrong_key_is_no_guest(headers: dict[str, str]) -> None:
    assert refusal(headers, PUBLIC) == (401, "unauthorized")


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"Cookie": "a=b"}])
def test_who_brings_none_is_one(headers: dict[str, str]) -> None:
    assert access.identify(make_request(key=None, headers=headers), PUBLIC) == GUEST


LISTING = settings.parse({**SETTINGS, "public_apps": APP, "allowed_origins": "https://shop.example"})
ANY = settings.parse({**SETTINGS, "public_apps": APP, "allowed_origins": "*"})
BOTH = settings.parse({**SETTINGS, "public_apps": APP, "allowed_origins": "*, https://shop.example"})


@pytest.mark.parametrize(
    ("owner", "headers", "expected"),
    [
        (PUBLIC, {}, None),
        (PUBLIC, {"Sec-Fetch-Site": "same-origin"}, None),
        (PUBLIC, {"Sec-Fetch-Site": "none"}, None),
        (PUBLIC, {"Sec-Fetch-Site": "cross-site"}, FORBIDDEN),
        (PUBLIC, {"Sec-Fetch-Site": "same-site"}, FORBIDDEN),
        (PUBLIC, {"Origin": f"https://{HOST}"}, None),
        (PUBLIC, {"Origin": "https://evil.example"}, FORBIDDEN),
        (PUBLIC, {"Origin": "null"}, FORBIDDEN),
        (LISTING, {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}, None),
        (LISTING, {"Origin": "https://SHOP.example", "Sec-Fetch-Site": "cross-site"}, None),
        (LISTING, {"Origin": "https://shop.example"}, None),
        (LISTING, {"Origin": "http://shop.example", "Sec-Fetch-Site": "cross-site"}, FORBIDDEN),
        (LISTING, {"Origin": "https://shop.example:8443", "Sec-Fetch-Site": "cross-site"}, FORBIDDEN),
        (LISTING, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, FORBIDDEN),
        (LISTING, {"Sec-Fetch-Site": "cross-site"}, FORBIDDEN),
        (ANY, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, None),
        (ANY, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, None),
        (ANY, {"Origin": "null"}, None),
        (ANY, {"Origin": "tauri://localhost", "Sec-Fetch-Site": "cross-site"}, None),
        (ANY, {"Sec-Fetch-Site": "cross-site"}, FORBIDDEN),
    ],
)
def test_a_guests_run_comes_from_here_or_from_a_listed_origin(
    owner: Settings, headers: dict[str, str], expected: tuple[int, str] | None
) -> None:
    assert [refusal(headers, owner, method) for method in ("GET", "POST")] == [expected] * 2


@pytest.mark.parametrize(
    ("owner", "origin", "expected"),
    [
        (LISTING, "https://shop.example", None),
        (BOTH, "https://shop.example", None),
        (BOTH, "https://evil.example", FORBIDDEN),
        (ANY, "https://shop.example", FORBIDDEN),
    ],
)
def test_a_stored_password_serves_a_listed_origin_only_by_its_name(
    owner: Settings, origin: str, expected: tuple[int, str] | None
) -> None:
    headers = basic(KEY) | {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    assert [refusal(headers, owner, method) for method in ("GET", "POST")] == [expected] * 2


# Pages whose host name leads to this machine


LOCAL = "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("owner", "headers", "is_refused"),
    [
        (PUBLIC, {"Host": HOST}, False),
        (PUBLIC, {"Origin": "http://evil.example", "Host": "evil.example"}, True),
        (PUBLIC, {"Origin": f"https://{HOST}", "Host": HOST}, True),
        (PUBLIC, {"Origin": "http://localhost:6274", "Host": LOCAL}, False),
        (PUBLIC, {"Origin": "http://app.localhost", "Host": "[::1]:8000"}, False),
        (PUBLIC, {"Origin": "http://localhost:6274", "Host": HOST}, True),
        (PUBLIC, {"Origin": "http://evil.example", "Host": LOCAL}, True),
        (PUBLIC, {"Origin": "http://localhost.evil.example", "Host": LOCAL}, True),
        (PUBLIC, {"Origin": "null", "Host": LOCAL}, True),
        (PUBLIC, {"Origin": "", "Host": LOCAL}, True),
        (PUBLIC, {"Origin": "http://[", "Host": "["}, True),
        (LISTING, {"Origin": "https://shop.example", "Host": HOST}, False),
        (LISTING, {"Origin": "https://evil.example", "Host": HOST}, True),
        (ANY, {"Origin": "https://evil.example", "Host": HOST}, False),
        (ANY, {"Origin": "https://evil.example", "Host": HOST, **basic(KEY)}, True),
        (BOTH, {"Origin": "https://shop.example", "Host": HOST, **basic(KEY)}, False),
        (PUBLIC, {"Origin": "https://evil.example", "Host": "evil.example", **basic(KEY)}, True),
        (PUBLIC, {"Origin": "https://evil.example", "Host": "evil.example", **bearer(KEY)}, False),
        (PUBLIC, {"Origin": "https://evil.example", "Host": "evil.example", "X-API-Key": KEY}, False),
    ],
)
def test_a_page_needs_a_key_a_listed_origin_or_to_be_on_this_machine_as_its_host_is(
    owner: Settings, headers: dict[str, str], is_refused: bool
) -> None:
    request = make_request(key=None, headers=headers)
    found = None
    try:
        access.refuse_other_origins(request, owner, access.identify(request, owner))
    except DuckError as error:
        found = error.status, error.code
    assert found == (FORBIDDEN if is_refused else None)


# CORS


def cors(owner: Settings, origin: str | None, *, public: bool = True, method: str = "POST", **headers: str) -> dict[str, str]:
    given = {**({"Origin": origin} if origin else {}), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return access.cors(make_request(method, key=None, headers=given), owner, public=public)


@pytest.mark.parametrize(
    ("owner", "origin", "public", "allowed"),
    [
        (LISTING, "https://shop.example", True, "https://shop.example"),
        (LISTING, "https://shop.example", False, "https://shop.example"),
        (LISTING, "https://evil.example", True, None),
        (LISTING, None, True, None),
        (LISTING, "null", True, None),
        (ANY, "https://evil.example", True, "*"),
        (ANY, "https://evil.example", False, None),
        (ANY, "null", True, "*"),
        (BOTH, "https://shop.example", False, "https://shop.example"),
        (BOTH, "https://evil.example", True, "*"),
        (PUBLIC, "https://shop.example", True, None),
    ],
)
def test_pages_of_listed_origins_may_read_the_answer(
    owner: Settings, origin: str | None, allowed: str | None, *, public: bool
) -> None:
    headers = cors(owner, origin, public=public)
    assert headers.get("Access-Control-Allow-Origin") == allowed
    assert headers == (
        {}
        if allowed is None
        else {
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Expose-Headers": access.EXPOSED,
        }
    )


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        ("content-type, authorization", "content-type, authorization"),
        ("x-stainless-os,X-API-Key", "x-stainless-os, X-API-Key"),
        ("", None),
        ("x y, a:b, <script>, ok, é", "ok"),
    ],
)
def test_a_preflight_is_told_that_any_header_may_be_sent(wanted: str, allowed: str | None) -> None:
    headers = cors(LISTING, "https://shop.example", method="OPTIONS", Access_Control_Request_Headers=wanted)
    assert headers == {
        "Access-Control-Allow-Origin": "https://shop.example",
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        "Access-Control-Max-Age": "600",
        **({"Access-Control-Allow-Headers": allowed} if allowed else {}),
    }
