"""What the owner of an endpoint has set."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from duck.callers import settings
from duck.callers.settings import Settings
from duck.errors import DuckError

A = "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"
B = "0b9a8c7d-1111-4222-8333-444455556666"
NEEDLE = "n33dle"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"api_key": None, "default_app": None, "apps": None},
        {"api_key": "", "default_app": "", "apps": ""},
        {"api_key": " ", "default_app": {"app_id": ""}, "apps": " "},
    ],
    ids=["absent", "null", "empty", "blank"],
)
def test_nothing_set_lets_nobody_in_and_names_no_app(values: dict[str, Any]) -> None:
    assert settings.parse(values) == Settings(keys=(), names={}, reachable=None)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("key-no-1", ("key-no-1",)),
        ("key-no-1 key-no-2", ("key-no-1", "key-no-2")),
        ("key-no-1,key-no-2", ("key-no-1", "key-no-2")),
        (" key-no-1 , key-no-2\n\tkey-no-3,, ", ("key-no-1", "key-no-2", "key-no-3")),
        ("ключключ schlüssel", ("ключключ", "schlüssel")),
        (12345678, ("12345678",)),
        (",", ()),
    ],
    ids=["one", "space", "comma", "many separators", "not ASCII", "number", "separators alone"],
)
def test_keys_are_separated_by_spaces_or_commas(text: Any, keys: tuple[str, ...]) -> None:
    assert settings.parse({"api_key": text}) == Settings(keys=keys, names={}, reachable=None)


APP_LISTS = {
    "an id": (A, {}, {A}),
    "two ids": (f"{A},{B}", {}, {A, B}),
    "an alias": (f"support={A}", {"support": A}, {A}),
    "both": (f"support={A}, {B}", {"support": A}, {A, B}),
    "white space and empty entries": (f"  support = {A} ,\n{B},, ", {"support": A}, {A, B}),
    "two aliases of one app": (f"one={A},two={A}", {"one": A, "two": A}, {A}),
    "an id twice": (f"{A},{A}", {}, {A}),
    "every kind of character": (f"A.b_c-9={A}", {"A.b_c-9": A}, {A}),
    "the longest alias": (f"{'x' * 64}={A}", {"x" * 64: A}, {A}),
    "aliases in two cases": (f"x={A},X={B}", {"x": A, "X": B}, {A, B}),
    "almost default": (f"defaults={A}", {"defaults": A}, {A}),
}


@pytest.mark.parametrize(("text", "names", "reachable"), APP_LISTS.values(), ids=APP_LISTS.keys())
def test_apps_are_ids_and_aliases(text: str, names: dict[str, str], reachable: set[str]) -> None:
    assert settings.parse({"apps": text}) == Settings(keys=(), names=names, reachable=frozenset(reachable))


@pytest.mark.parametrize(
    "spelling",
    [A, A.upper(), A.title(), A.replace("-", ""), A.replace("-", "").upper()],
    ids=["Dify's", "capitals", "mixed", "no hyphens", "no hyphens, capitals"],
)
def test_an_id_may_be_spelt_in_any_way(spelling: str) -> None:
    assert settings.canonical(spelling) == A
    assert settings.parse({"apps": f"x={spelling}, {spelling}", "default_app": {"app_id": spelling}}) == Settings(
        keys=(), names={"x": A, "default": A}, reachable=frozenset({A})
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "support",
        A[:-1],
        A + "0",
        A + "\n",
        f" {A}",
        A.replace("-", "_"),
        A.replace("2d7b", "2d7g"),
        A.replace("2", "\N{FULLWIDTH DIGIT TWO}"),
    ],
    ids=["empty", "a word", "too short", "too long", "line's end", "space", "other hyphens", "no hex digit", "wide digit"],
)
def test_what_is_no_id_has_no_spelling(text: str) -> None:
    assert settings.canonical(text) is None


def test_the_default_app_is_reachable_by_its_name() -> None:
    assert settings.parse({"default_app": {"app_id": A}}) == Settings(keys=(), names={"default": A}, reachable=None)


def test_the_default_app_is_reachable_besides_those_that_are_listed() -> None:
    assert settings.parse({"apps": f"b={B}", "default_app": {"app_id": A}}) == Settings(
        keys=(), names={"b": B, "default": A}, reachable=frozenset({A, B})
    )


def test_the_default_app_may_bring_presets_of_its_inputs() -> None:
    assert settings.parse({"default_app": {"app_id": A, "inputs": {"tone": "formal"}, "files": []}}).names == {"default": A}


def test_settings_that_duck_does_not_know_are_ignored() -> None:
    assert settings.parse({"new": object(), "api_key": "the-key-1"}) == Settings(keys=("the-key-1",), names={}, reachable=None)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"api_key": [NEEDLE]}, "api_key"),
        ({"api_key": {"value": NEEDLE}}, "api_key"),
        ({"api_key": 5}, "api_key"),
        ({"apps": [NEEDLE]}, "apps"),
        ({"apps": {NEEDLE: A}}, "apps"),
        ({"apps": NEEDLE}, "apps"),
        ({"apps": " , "}, "apps"),
        ({"apps": f"{A}, {NEEDLE}"}, "apps"),
        ({"apps": f"{A} {B} {NEEDLE}"}, "apps"),
        ({"apps": f"x={NEEDLE}"}, "apps"),
        ({"apps": f"{NEEDLE}="}, "apps"),
        ({"apps": f"={A}"}, "apps"),
        ({"apps": f"{NEEDLE}:x={A}"}, "apps"),
        ({"apps": f"{NEEDLE} x={A}"}, "apps"),
        ({"apps": f"{NEEDLE}/x={A}"}, "apps"),
        ({"apps": f"{NEEDLE}é={A}"}, "apps"),
        ({"apps": f"{NEEDLE}=x={A}"}, "apps"),
        ({"apps": f"{NEEDLE}{'x' * 59}={A}"}, "apps"),
        ({"apps": f"default={A}"}, "apps"),
        ({"apps": f"{B}={A}"}, "apps"),
        ({"apps": f"{B.replace('-', '').upper()}={A}"}, "apps"),
        ({"apps": f"{NEEDLE}={A}, {NEEDLE}={B}"}, "apps"),
        ({"default_app": NEEDLE}, "default_app"),
        ({"default_app": [NEEDLE]}, "default_app"),
        ({"default_app": 5}, "default_app"),
        ({"default_app": {"app_id": NEEDLE}}, "default_app"),
        ({"default_app": {"app_id": 5}}, "default_app"),
        ({"default_app": {"app_id": {NEEDLE: A}}}, "default_app"),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, dict) else None,
)
def test_a_setting_that_cannot_be_read_is_named_and_not_quoted(values: dict[str, Any], name: str) -> None:
    with pytest.raises(DuckError) as caught:
        settings.parse({"api_key": NEEDLE} | values)

    error = caught.value
    assert (error.status, error.code) == (500, "invalid_settings")
    assert name in error.message
    assert not [secret for secret in (NEEDLE, A, B) if secret.lower() in error.message.lower()]


def test_a_fault_among_many_apps_is_found_by_its_place() -> None:
    with pytest.raises(DuckError, match="3"):
        settings.parse({"apps": f"{A}, {B}, junk, {A}"})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.sampled_from([A, B, f"x={A}", "=", ","]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["app_id", "inputs", "x"]), inner, max_size=3),
    max_leaves=4,
)
APPS = st.lists(st.sampled_from(["x", "=", ",", " ", A, B.upper(), "default", "é", "\ud800"]), max_size=8).map("".join)


@examples(max_examples=100, deadline=None)
@given(st.fixed_dictionaries({}, optional={"api_key": JUNK, "apps": JUNK | APPS, "default_app": JUNK, "other": JUNK}))
def test_any_settings_at_all_are_read_or_refused(values: dict[str, Any]) -> None:
    try:
        parsed = settings.parse(values)
    except DuckError as error:
        assert (error.status, error.code) == (500, "invalid_settings")  # noqa: PT017 - settings may also be right
    else:
        assert all(parsed.keys)
        assert parsed.reachable is None or set(parsed.names.values()) <= parsed.reachable


# Guests and other origins


@pytest.mark.parametrize(
    ("values", "public"),
    [
        ({}, set()),
        ({"public_apps": None}, set()),
        ({"public_apps": " , "}, set()),
        ({"public_apps": A}, {A}),
        ({"public_apps": f"{A.upper()} {B.replace('-', '')}"}, {A, B}),
        ({"apps": f"a={A}, {B}", "public_apps": "a"}, {A}),
        ({"apps": f"a={A}, {B}", "public_apps": f"{B}, a"}, {A, B}),
        ({"default_app": {"app_id": A}, "public_apps": "default"}, {A}),
        ({"apps": B, "default_app": {"app_id": A}, "public_apps": A}, {A}),
    ],
)
def test_public_apps_are_named_by_alias_or_id(values: dict[str, Any], public: set[str]) -> None:
    assert settings.parse(values).public == public


@pytest.mark.parametrize(
    "values",
    [
        {"public_apps": "no-such-alias"},
        {"public_apps": "default"},
        {"apps": A, "public_apps": B},
        {"apps": A, "public_apps": f"{A}, junk"},
        {"public_apps": ["x"]},
        {"public_apps": "*"},
        {"api_key": "Bearer abcdefgh"},
        {"api_key": "key-no-1, basic key-no-2"},
        {"api_key": "correct horse battery a"},
        {"api_key": "1234567"},
        {"api_key": "key-no-1, public"},
        {"api_key": "PUBLIC"},
        {"apps": A, "public_apps": True},
        {"public_rate": "0"},
        {"public_rate": "-1"},
        {"public_rate": "1.5"},
        {"public_rate": "many"},
        {"public_rate": "1000000"},
        {"public_rate": 0},
        {"public_rate": 1.5},
        {"public_rate": True},
        {"public_rate": "\u0661"},
        {"allowed_origins": "www.example.org"},
        {"allowed_origins": "https:///"},
        {"allowed_origins": "https://example.com/path"},
        {"allowed_origins": "https://example.com?x"},
        {"allowed_origins": "https://me@example.com"},
        {"allowed_origins": "https://example.com:port"},
        {"allowed_origins": "https://*.example.com:99999"},
        {"allowed_origins": "http://*"},
        {"allowed_origins": "https://*.*.example.com"},
        {"allowed_origins": "https://shop.*.example.com"},
        {"allowed_origins": "https://a*.example.com"},
        {"allowed_origins": "https://a.example;sandbox"},
        {"allowed_origins": "https://a.example'"},
        {"allowed_origins": "https://a..example"},
        {"allowed_origins": "1a://localhost"},
        {"allowed_origins": "data:text"},
        {"allowed_origins": "https://["},
        {"allowed_origins": "null"},
        {"allowed_origins": "https://example.com, javascript:alert(1)"},
    ],
    ids=repr,
)
def test_what_cannot_be_read_closes_the_endpoint_and_names_the_setting(values: dict[str, Any]) -> None:
    with pytest.raises(DuckError) as caught:
        settings.parse(values)
    assert (caught.value.status, caught.value.code) == (500, "invalid_settings")
    [name] = [name for name in values if name != "apps"]
    assert f" ({name}): " in caught.value.message
    assert str(values[name]) not in caught.value.message


@pytest.mark.parametrize(
    ("text", "rate"), [("", 60), (" ", 60), (None, 60), ("1", 1), (" 120 ", 120), ("999999", 999_999), (5, 5)]
)
def test_the_rate_of_guests_is_a_whole_number(text: Any, rate: int) -> None:
    assert settings.parse({"public_rate": text}).public_rate == rate


@pytest.mark.parametrize(
    ("text", "origins", "any_origin"),
    [
        ("", set(), False),
        ("https://www.example.com", {"https://www.example.com"}, False),
        ("https://A.example/, http://b.example:8080", {"https://a.example", "http://b.example:8080"}, False),
        ("https://a.example:443 http://b.example:80", {"https://a.example", "http://b.example"}, False),
        ("http://[::1]:3000", {"http://[::1]:3000"}, False),
        ("tauri://localhost, capacitor://localhost", {"tauri://localhost", "capacitor://localhost"}, False),
        ("chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai", {"chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai"}, False),
        ("https://münchen.example:443/", {"https://xn--mnchen-3ya.example"}, False),
        ("https://*.example.com", {"https://*.example.com"}, False),
        ("https://*.München.example:8443", {"https://*.xn--mnchen-3ya.example:8443"}, False),
        ("*", set(), True),
        ("*, https://a.example", {"https://a.example"}, True),
    ],
)
def test_origins_are_kept_as_browsers_write_them(text: str, origins: set[str], *, any_origin: bool) -> None:
    parsed = settings.parse({"allowed_origins": text})
    assert (set(parsed.origins), parsed.any_origin) == (origins, any_origin)
    assert all(parsed.lists_origin(origin) and parsed.lists_origin(origin.upper()) for origin in origins)
    assert not any(map(parsed.lists_origin, (None, "", "null", "https://evil.example", "*")))


@pytest.mark.parametrize(
    ("origin", "is_listed"),
    [
        ("https://shop.example.com", True),
        ("https://a.b.example.com", True),
        ("https://SHOP.example.com", True),
        ("https://example.com", False),
        ("https://shopexample.com", False),
        ("https://example.com.evil.example", False),
        ("http://shop.example.com", False),
        ("https://shop.example.com:8443", False),
        ("https://evil.example/.example.com", False),
        ("https://.example.com", False),
        ("null", False),
        ("https://[::1]", False),
    ],
)
def test_an_asterisk_stands_for_whole_labels(origin: str, *, is_listed: bool) -> None:
    assert settings.parse({"allowed_origins": "https://*.example.com"}).lists_origin(origin) is is_listed


@pytest.mark.parametrize("alias", [".", "..", "..."])
def test_an_alias_that_browsers_would_resolve_is_refused(alias: str) -> None:
    with pytest.raises(DuckError, match="the alias in entry 1 must be"):
        settings.parse({"apps": f"{alias}={A}"})


# Apps' own keys


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.dify.ai/v1", "https://api.dify.ai/v1"),
        (" https://api.dify.ai/v1/ ", "https://api.dify.ai/v1"),
        ("http://nginx", "http://nginx/v1"),
        ("http://nginx/", "http://nginx/v1"),
        ("http://[::1]:5001/dify/v1", "http://[::1]:5001/dify/v1"),
    ],
)
def test_the_address_of_the_service_api(url: str, base: str) -> None:
    parsed = settings.parse({"service_api_url": url, "app_keys": f"{A}=app-1"})
    assert (parsed.service_url, parsed.app_keys) == (base, {A: "app-1"})


@pytest.mark.parametrize(
    "url",
    [
        "nginx/v1",
        "ftp://x/v1",
        "https://",
        "https://u:p@x/v1",
        "https://x/v1?a=b",
        "https://x/#a",
        "https://[",
        "http://x:y/",
        "http://a b",
        "http://a..b/v1",
        f"http://{'a' * 64}.example/v1",
    ],
)
def test_what_is_no_address_of_a_service_api(url: str) -> None:
    with pytest.raises(DuckError, match=r"Service API URL \(service_api_url\): must be like https://api\.dify\.ai/v1") as caught:
        settings.parse({"service_api_url": url})
    assert caught.value.code == "invalid_settings"


def test_each_app_has_its_own_key() -> None:
    apps = {"apps": f"one={A}, {B}", "default_app": {"app_id": B}, "service_api_url": "https://x.example"}
    keys = {A: "app-a_1-x", B: "app-b"}
    for text in (
        f"one=app-a_1-x,{B}=app-b",
        "one=app-a_1-x default=app-b",
        "one = app-a_1-x, default= app-b",
        f" {A.upper()}=app-a_1-x\n, {B}=app-b,",
    ):
        assert settings.parse({**apps, "app_keys": text}).app_keys == keys
    assert settings.parse({"app_keys": "", "service_api_url": None}).app_keys == {}
    assert NEEDLE not in repr(settings.parse({**apps, "app_keys": f"one=app-{NEEDLE}"}))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"one=app-1, two=app-{NEEDLE}", r"the app of entry 2 is not in Apps \(apps\)"),
        (f"0b9a8c7d-0000-4222-8333-444455556666=app-{NEEDLE}", r"the app of entry 1 is not in Apps \(apps\)"),
        (f"app-{NEEDLE}", "entry 1 must be alias=app-"),
        (f"one={NEEDLE}", "entry 1 must be alias=app-"),
        (f"one=app-ü{NEEDLE}", "entry 1 must be alias=app-"),
        (f"one=app-1, {A}=app-{NEEDLE}", "the app in entry 2 has a key already"),
    ],
)
def test_a_key_that_is_none_or_of_no_app_is_told_by_its_place(text: str, fault: str) -> None:
    with pytest.raises(DuckError, match=fault) as caught:
        settings.parse({"apps": f"one={A}", "service_api_url": "https://x.example", "app_keys": text})
    assert NEEDLE not in caught.value.message


def test_separators_of_input_methods_separate() -> None:
    given = {
        "api_key": "a-first-key,a-second-key",
        "apps": f"one={A}, two={B}",
        "public_apps": "one two",
        "app_keys": "one=app-1,two=app-2",
        "webhook_secrets": "one=a-secret-1,two=a-secret-2",
    }
    wide = str.maketrans(",= ", "\uff0c\uff1d\u3000")
    more = {"service_api_url": "https://x.example"}
    assert settings.parse({name: text.translate(wide) for name, text in given.items()} | more) == settings.parse(given | more)


@pytest.mark.parametrize("name", ["api_key", "apps", "public_apps", "allowed_origins", "app_keys", "webhook_secrets"])
@pytest.mark.parametrize("text", ['"{}"', "'{}'", "\u201c{}\u201d", 'one, "{}"'])
def test_quotation_marks_are_not_taken_for_a_part_of_a_value(name: str, text: str) -> None:
    with pytest.raises(DuckError, match=rf"\({name}\): leave out the quotation marks"):
        settings.parse({name: text.format(f"one={NEEDLE}")})


def test_an_entry_without_its_comma_is_told_of() -> None:
    with pytest.raises(DuckError, match=r"\(apps\): entry 2 has more than one equals sign; commas separate entries"):
        settings.parse({"apps": f"one={A}, two={B} three={A}"})


def test_an_app_may_have_several_secrets_of_its_senders() -> None:
    apps = {"apps": f"one={A}, {B}", "default_app": {"app_id": B}}
    parsed = settings.parse(
        {**apps, "webhook_secrets": f"one=whsec_YWJj=, one = a-second-one ,default=pass=word\n{B}=a-{NEEDLE}"}
    )
    assert parsed.webhook_secrets == {A: ("whsec_YWJj=", "a-second-one"), B: ("pass=word", f"a-{NEEDLE}")}
    assert NEEDLE not in repr(parsed)
    assert settings.parse({"webhook_secrets": None}).webhook_secrets == {}


OF_NO_APP = r"the app of entry 2 is not in Apps \(apps\)"
NO_SECRET = "entry 2 must be alias=secret or id=secret, and a secret of 8 characters"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (f"a-{NEEDLE}", NO_SECRET),
        (f"two=a-{NEEDLE}", OF_NO_APP),
        (f"0b9a8c7d-0000-4222-8333-444455556666=a-{NEEDLE}", OF_NO_APP),
        ("one=short12", NO_SECRET),
        ("one=", NO_SECRET),
        (f"one=a-{NEEDLE} one=another", NO_SECRET),
        (f'one="a-{NEEDLE}"', "leave out the quotation marks"),
    ],
)
def test_a_secret_that_is_none_or_of_no_app_is_told_by_its_place(entry: str, fault: str) -> None:
    with pytest.raises(DuckError, match=rf"\(webhook_secrets\): {fault}") as caught:
        settings.parse({"apps": f"one={A}", "webhook_secrets": f"one=a-right-secret, {entry}"})
    assert (caught.value.code, NEEDLE in caught.value.message) == ("invalid_settings", False)


def test_keys_without_an_address_are_of_no_use() -> None:
    with pytest.raises(DuckError, match=r"\(service_api_url\): needed for what is in App keys \(app_keys\)"):
        settings.parse({"app_keys": f"{A}=app-1"})
