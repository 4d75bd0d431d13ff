"""What Dify reads of the package, and what is said twice in it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from werkzeug.routing import Map, Rule

import duck
from devhost.package import files
from duck import errors
from duck.faces.page.words import WORDS
from duck.routes import METHODS
from tests.documents import DOCUMENTS, TRANSLATIONS

ROOT = Path(__file__).parents[1]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yaml").read_text("utf-8"))
GROUP: dict[str, Any] = yaml.safe_load((ROOT / "group/duck.yaml").read_text("utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LANGUAGES = {"en_US", "zh_Hans", "ja_JP", "pt_BR"}


def test_the_version_is_the_same_everywhere() -> None:
    assert {MANIFEST["version"], PROJECT["version"]} == {duck.__version__}


def test_developers_run_what_dify_installs() -> None:
    assert (ROOT / "requirements.txt").read_text("utf-8").splitlines() == PROJECT["dependencies"]


def test_the_plugin_asks_for_no_more_than_it_needs() -> None:
    assert MANIFEST["resource"]["permission"] == {"endpoint": {"enabled": True}, "app": {"enabled": True}}


def test_the_manifest_names_files_that_are_there() -> None:
    assert (ROOT / "_assets" / MANIFEST["icon"]).is_file()
    assert all((ROOT / group).is_file() for group in MANIFEST["plugins"]["endpoints"])
    assert (ROOT / f"{MANIFEST['meta']['runner']['entrypoint']}.py").is_file()


@pytest.mark.parametrize("setting", GROUP["settings"], ids=lambda setting: setting["name"])
def test_a_setting_explains_itself_in_four_languages(setting: dict[str, Any]) -> None:
    assert setting["label"].keys() == LANGUAGES
    assert setting["help"].keys() == LANGUAGES
    assert setting.get("placeholder", setting["help"]).keys() == LANGUAGES
    assert re.fullmatch("https://docs.dify.ai/.+", setting.get("url", "https://docs.dify.ai/…")), "the console links to it"
    assert "default" not in setting, "Dify never applies one"


def test_messages_call_the_settings_what_the_console_calls_them() -> None:
    assert {setting["name"]: setting["label"]["en_US"] for setting in GROUP["settings"]} == errors.LABELS


@pytest.mark.parametrize("language", ["en", "zh", "ja", "pt"])
def test_the_landing_page_calls_the_setting_for_names_what_the_console_calls_it(language: str) -> None:
    [apps] = [setting["label"] for setting in GROUP["settings"] if setting["name"] == "apps"]
    [label] = [text for code, text in apps.items() if code.startswith(language)]
    assert re.search(rf"[“「]{label}[”」] ?[(\uff08]<code>apps</code>[)\uff09]", WORDS[language]["nothing"])


def test_a_key_is_a_secret() -> None:
    assert {setting["name"]: setting["type"] for setting in GROUP["settings"]} == {
        "api_key": "secret-input",
        "default_app": "app-selector",
        "apps": "text-input",
        "public_apps": "text-input",
        "public_rate": "text-input",
        "allowed_origins": "text-input",
        "service_api_url": "text-input",
        "public_url": "text-input",
        "app_keys": "secret-input",
        "webhook_secrets": "secret-input",
    }


def routes(*, hidden: bool) -> set[tuple[str, str]]:
    return {(row["path"], row["method"]) for row in GROUP["endpoints"] if row.get("hidden", False) == hidden}


def test_the_console_lists_no_rows_that_are_no_routes() -> None:
    shown = {Path(row["extra"]["python"]["source"]).stem for row in GROUP["endpoints"] if not row.get("hidden")}
    assert [name for name in shown if name in {"favicon", "preflight"} or name.endswith("unknown")] == []


def test_every_path_is_answered_for_every_method_that_the_daemon_passes_on() -> None:
    rules = Map([Rule(row["path"], methods=[row["method"]], endpoint="x") for row in GROUP["endpoints"]]).bind("host")
    paths = ("/", "/x", "/chat/x", "/chat/a/b", "/duck/x", "/parameters/x", "/stop/x", "/v1", "/v1/", "/v1/x")
    for path in (*paths, "/mcp", "/mcp/", "/mcp/x", "/mcp/a/b", "/dify/x", "/dify/x/v1/info", "/dify/x/v1/a/b"):
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            assert rules.match(path, method)


def test_the_methods_that_405_allows_are_those_of_the_route_table() -> None:
    assert METHODS["/"] == ("GET",)
    assert METHODS["/chat/<app_id>"] == ("GET", "POST")
    assert METHODS["/stop/<app_id>"] == ("POST",)
    assert METHODS["/v1/models/<path:model>"] == ("GET",)
    assert {path for path in METHODS if "path:path" in path} == set(), "these answer what is no route"


def test_every_route_has_a_module_with_exactly_one_endpoint() -> None:
    sources = {row["extra"]["python"]["source"] for row in GROUP["endpoints"]}
    assert sources == {f"endpoints/{path.name}" for path in (ROOT / "endpoints").glob("*.py")}
    for source in sources:
        assert len(re.findall(r"^class \w+\(Endpoint\):$", (ROOT / source).read_text("utf-8"), re.MULTILINE)) == 1


def test_the_package_holds_what_runs_what_explains_it_and_nothing_else() -> None:
    kinds = {".py", ".html", ".css", ".js", ".toml"}
    core = {f"duck/{path.relative_to(ROOT / 'duck')}" for path in (ROOT / "duck").rglob("*.*") if path.suffix in kinds}
    endpoints = {row["extra"]["python"]["source"] for row in GROUP["endpoints"]}
    runtime = {
        "manifest.yaml",
        "main.py",
        "requirements.txt",
        "group/duck.yaml",
        "_assets/icon.svg",
        "_assets/page.png",
        *core,
        *endpoints,
    }
    documents = {
        "README.md",
        "PRIVACY.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "LICENSE",
        *(name for name in DOCUMENTS if name.startswith("docs/") and name != "docs/copy-me.md"),
        ".difyignore",
    }
    assert set(files(ROOT)) == runtime | documents | set(TRANSLATIONS)
