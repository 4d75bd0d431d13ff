"""Declarations that Dify refuses or accepts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from devhost.declaration import Declaration, StartError
from devhost.schema import I18n, Route, Setting

ABSENT = object()

MANIFEST = """
version: 0.0.1
type: plugin
author: someone
name: sample
label: {en_US: Sample}
description: {en_US: A sample}
icon: icon.svg
created_at: "2026-01-01T00:00:00Z"
resource: {memory: 268435456, permission: {endpoint: {enabled: true}, app: {enabled: true}, storage: {enabled: false}}}
plugins: {endpoints: [group/sample.yaml]}
meta: {version: 0.0.1, arch: [amd64], runner: {language: python, version: "3.12", entrypoint: main}}
"""
GROUP = """
settings:
  - {name: key, type: secret-input, label: {en_US: Key}, required: true, default: unused, help: {en_US: Your key}}
  - {name: app, type: app-selector, label: {en_US: App}, scope: chat}
endpoints: [endpoints/hello.yaml, {path: "/<app_id>", method: POST, hidden: true, extra: {python: {source: endpoints/hello.py}}}]
"""
ENDPOINT = """
path: /hello
method: GET
extra: {python: {source: endpoints/hello.py}}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The folder of a plugin with two routes: one in a file, one within the group."""
    files = {
        "manifest.yaml": MANIFEST,
        "group/sample.yaml": GROUP,
        "endpoints/hello.yaml": ENDPOINT,
        "endpoints/hello.py": "",
        "_assets/icon.svg": "<svg/>",
        "requirements.txt": "dify_plugin",
    }
    for name, text in files.items():
        path = tmp_path / "plugin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "plugin"


def change(path: Path, field: str, value: object) -> None:
    """Sets or deletes a field of a YAML file. Numbers in `field` are indexes of a list."""
    content: Any = yaml.safe_load(path.read_text())
    *parents, last = [int(part) if part.isdigit() else part for part in field.split(".")]
    holder = content
    for parent in parents:
        holder = holder[parent]
    if value is ABSENT:
        del holder[last]
    else:
        holder[last] = value
    path.write_text(yaml.safe_dump(content))


def refusal(folder: Path) -> str:
    """The reason for the refusal, without the folder's path."""
    with pytest.raises(StartError) as caught:
        Declaration.read(folder)
    [line] = str(caught.value).splitlines()
    return line.replace(f"{folder}/", "")


def test_a_declaration_is_read_from_all_its_files(plugin: Path) -> None:
    declaration = Declaration.read(plugin)
    manifest = declaration.manifest
    assert (manifest.name, manifest.version, manifest.entrypoint) == ("sample", "0.0.1", "main")
    assert [(setting.name, setting.default, setting.help) for setting in declaration.settings] == [
        ("key", "unused", I18n.model_validate({"en_US": "Your key"})),
        ("app", None, None),
    ]
    assert declaration == Declaration(
        manifest=manifest,
        permissions=frozenset({"app", "endpoint"}),
        storage_size=1_048_576,
        settings=tuple(map(Setting.model_validate, yaml.safe_load(GROUP)["settings"])),
        routes=(route(plugin, "/hello", "GET", hidden=False), route(plugin, "/<app_id>", "POST", hidden=True)),
    )


def route(folder: Path, path: str, method: str, *, hidden: bool) -> Route:
    extra = {"python": {"source": "endpoints/hello.py"}}
    return Route.model_validate(
        {"path": path, "method": method, "hidden": hidden, "extra": extra}, context=lambda name: (folder / name).is_file()
    )


def test_a_plugin_that_dify_has_installed_is_accepted(witness: Path) -> None:
    declaration = Declaration.read(witness)
    assert (declaration.manifest.name, declaration.manifest.entrypoint) == ("witness", "main")
    assert declaration.permissions == {"app", "endpoint"}
    assert {route.path for route in declaration.routes} >= {"/"}


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("version", ABSENT, "Field required"),
        ("version", 1.0, "Input should be a valid string"),
        ("version", "1.0", r"String should match pattern '^[0-9]{1,4}(\.[0-9]{1,4}){2}(-[0-9A-Za-z_]{1,16})?$'"),
        ("type", "tool", "Input should be 'plugin'"),
        ("author", ABSENT, "Field required"),
        ("author", "Someone", "String should match pattern '^[a-z0-9_-]{1,64}$'"),
        ("author", "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43", "it must not be a UUID"),
        ("name", "a sample", "String should match pattern '^[a-z0-9_-]{1,128}$'"),
        ("label.en_US", ABSENT, "Field required"),
        ("description.en_US", "x" * 1024, "String should have at most 1023 characters"),
        ("icon", ABSENT, "Field required"),
        ("icon", "other.svg", "there is no file _assets/other.svg"),
        ("icon_dark", "dark.svg", "there is no file _assets/dark.svg"),
        ("repo", "sample", "Input should be a valid URL, relative URL without a base"),
        ("meta.minimum_dify_version", "newest", "newest is no version"),
        ("created_at", ABSENT, "Field required"),
        ("created_at", "2026-01-01", "2026-01-01 is no RFC 3339 time with an offset"),
        ("created_at", "2026-01-01T00:00:00", "2026-01-01T00:00:00 is no RFC 3339 time with an offset"),
        ("created_at", "2026-13-01T00:00:00Z", "month must be in 1..12"),
        ("resource.memory", ABSENT, "Field required"),
        ("resource.memory", "256MB", "Input should be a valid integer"),
        ("resource.permission.app.enabled", "true", "Input should be a valid boolean"),
        ("resource.permission.storage.size", 1023, "Input should be greater than or equal to 1024"),
        ("plugins.endpoints", [], "List should have at least 1 item after validation, not 0"),
        ("meta.version", ABSENT, "Field required"),
        ("meta.arch.0", "x86", "Input should be 'amd64' or 'arm64'"),
        ("meta.runner.language", "go", "Input should be 'python'"),
        ("meta.runner.version", 3.12, "Input should be a valid string"),
        ("meta.runner.entrypoint", ABSENT, "Field required"),
    ],
)
def test_a_manifest_is_refused_by_field_and_rule(plugin: Path, field: str, value: object, rule: str) -> None:
    change(plugin / "manifest.yaml", field, value)
    assert refusal(plugin) == f"manifest.yaml: {field}: {rule}"


def test_a_tag_must_be_one_of_difys(plugin: Path) -> None:
    change(plugin / "manifest.yaml", "tags", ["utilities", "ducks"])
    assert refusal(plugin).startswith("manifest.yaml: tags.1: Input should be 'agent', 'business', ")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("settings", {"key": {"type": "text-input"}}, "settings: Input should be a valid list"),
        ("settings.0", "key", "settings.0: Input should be a valid dictionary or instance of Setting"),
        ("settings.0.name", ABSENT, "settings.0.name: Field required"),
        ("settings.0.label.en_US", ABSENT, "settings.0.label.en_US: Field required"),
        ("settings.0.required", "yes", "settings.0.required: Input should be a valid boolean"),
        ("settings.0.scope", "all", "settings.0.scope: 'all' is not a valid scope of type secret-input"),
        ("settings.1.scope", "agent", "settings.1.scope: 'agent' is not a valid scope of type app-selector"),
        ("settings.1.scope", "", "settings.1.scope: '' is not a valid scope of type app-selector"),
        ("settings.0.help", {"zh_Hans": "x"}, "settings.0.help.en_US: Field required"),
        ("settings.0.help.pt_BR", "x" * 1024, "settings.0.help.pt_BR: String should have at most 1023 characters"),
        ("settings.0.placeholder", "x", "settings.0.placeholder: Input should be a valid dictionary or instance of I18n"),
        ("settings.0.options", [{"value": "a"}], "settings.0.options.0.label.en_US: Field required"),
        ("endpoints", {"/": "endpoints/hello.yaml"}, "endpoints: Input should be a valid list"),
        ("endpoints.1", 3, "endpoints.1: Input should be a valid dictionary or instance of Route"),
        ("endpoints.1.path", ABSENT, "endpoints.1: path: Field required"),
        ("endpoints.1.path", "hello", "endpoints.1: path: String should match pattern '^/'"),
        (
            "endpoints.1.method",
            "PATCH",
            "endpoints.1: method: Input should be 'HEAD', 'GET', 'POST', 'PUT', 'DELETE' or 'OPTIONS'",
        ),
        ("endpoints.1.method", "get", "endpoints.1: method: Input should be 'HEAD', 'GET', 'POST', 'PUT', 'DELETE' or 'OPTIONS'"),
        ("endpoints.1.hidden", "true", "endpoints.1: hidden: Input should be a valid boolean"),
        ("endpoints.1.extra.python.source", ABSENT, "endpoints.1: extra.python.source: Field required"),
        (
            "endpoints.1.extra.python.source",
            "endpoints/none.py",
            "endpoints.1: extra.python.source: there is no file endpoints/none.py",
        ),
    ],
)
def test_a_group_is_refused_by_field_and_rule(plugin: Path, field: str, value: object, message: str) -> None:
    change(plugin / "group/sample.yaml", field, value)
    assert refusal(plugin) == f"group/sample.yaml: {message}"


@pytest.mark.parametrize("kind", ["number", "any", "file", "tool-selector", "string", ABSENT])
def test_other_types_of_settings_are_refused(plugin: Path, kind: object) -> None:
    change(plugin / "group/sample.yaml", "settings.1.type", kind)
    allowed = "'secret-input', 'text-input', 'select', 'boolean', 'model-selector', 'app-selector' or 'array[tools]'"
    rule = "Field required" if kind is ABSENT else f"Input should be {allowed}"
    assert refusal(plugin) == f"group/sample.yaml: settings.1.type: {rule}"


def test_the_error_names_the_endpoints_file(plugin: Path) -> None:
    change(plugin / "endpoints/hello.yaml", "method", "TRACE")
    rule = "Input should be 'HEAD', 'GET', 'POST', 'PUT', 'DELETE' or 'OPTIONS'"
    assert refusal(plugin) == f"endpoints/hello.yaml: method: {rule}"


@pytest.mark.parametrize(
    ("kind", "scope", "accepted"),
    [
        ("app-selector", "all", True),
        ("app-selector", "chat&workflow", True),
        ("model-selector", "llm", True),
        ("model-selector", "llm&vision", True),
        ("model-selector", "document", True),
        ("model-selector", "all", False),
        ("text-input", "all", False),
    ],
)
def test_a_scope_must_fit_its_type(plugin: Path, kind: str, scope: str, *, accepted: bool) -> None:
    change(plugin / "group/sample.yaml", "settings.1", {"name": "s", "type": kind, "label": {"en_US": "S"}, "scope": scope})
    if accepted:
        assert Declaration.read(plugin).settings[1].scope == scope
    else:
        assert refusal(plugin) == f"group/sample.yaml: settings.1.scope: '{scope}' is not a valid scope of type {kind}"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.yaml", "a: [", "manifest.yaml is not a plugin manifest: while parsing a flow node"),
        ("manifest.yaml", "- a", "manifest.yaml is not a plugin manifest: it holds no mapping"),
        (
            "manifest.yaml",
            MANIFEST.replace('"2026-01-01T', "2026-13-01T").replace('Z"', "Z"),
            "manifest.yaml is not a plugin manifest: month",
        ),
        ("group/sample.yaml", "- a", "group/sample.yaml is not an endpoint group: it holds no mapping"),
        ("endpoints/hello.yaml", "", "endpoints/hello.yaml is not an endpoint: it holds no mapping"),
    ],
)
def test_a_file_that_holds_no_mapping_is_refused(plugin: Path, name: str, text: str, message: str) -> None:
    (plugin / name).write_text(text)
    assert refusal(plugin).startswith(message)


def test_a_file_that_is_no_utf_8_is_refused(plugin: Path) -> None:
    (plugin / "manifest.yaml").write_bytes(b"name: \xff")
    assert refusal(plugin).startswith("manifest.yaml is not a plugin manifest: 'utf-8' codec can't decode")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("manifest.yaml", "{folder} holds no plugin: it has no manifest.yaml"),
        ("group/sample.yaml", "group/sample.yaml is not an endpoint group: No such file or directory"),
        ("endpoints/hello.yaml", "endpoints/hello.yaml is not an endpoint: No such file or directory"),
        ("endpoints/hello.py", "endpoints/hello.yaml: extra.python.source: there is no file endpoints/hello.py"),
        ("_assets/icon.svg", "manifest.yaml: icon: there is no file _assets/icon.svg"),
        ("requirements.txt", "{folder}: neither pyproject.toml nor requirements.txt found in plugin directory"),
    ],
)
def test_a_file_that_is_missing_is_named(plugin: Path, name: str, message: str) -> None:
    (plugin / name).unlink()
    assert refusal(plugin) == message.format(folder=plugin)


def test_a_folder_that_is_missing_is_named(plugin: Path) -> None:
    assert refusal(plugin / "none") == f"there is no folder {plugin}/none"
    (plugin / "_assets").rename(plugin / "assets")
    assert refusal(plugin) == "manifest.yaml: icon: there is no file _assets/icon.svg"


def test_either_list_of_requirements_is_enough(plugin: Path) -> None:
    (plugin / "requirements.txt").rename(plugin / "pyproject.toml")
    assert Declaration.read(plugin).manifest.name == "sample"


@pytest.mark.parametrize(
    "permission", [ABSENT, None, {"app": {"enabled": True}}, {"endpoint": None}, {"endpoint": {"enabled": False}}]
)
def test_a_plugin_needs_the_permission_to_have_endpoints(plugin: Path, permission: object) -> None:
    change(plugin / "manifest.yaml", "resource.permission", permission)
    words = "permission denied, you need to enable endpoint access in plugin manifest"
    assert refusal(plugin) == f"manifest.yaml: resource.permission.endpoint.enabled: {words}"


def test_unknown_keys_are_ignored(plugin: Path) -> None:
    before = Declaration.read(plugin)
    for name, field in [
        ("manifest.yaml", "future"),
        ("manifest.yaml", "meta.future"),
        ("group/sample.yaml", "future"),
        ("group/sample.yaml", "settings.0.future"),
        ("group/sample.yaml", "endpoints.1.future"),
    ]:
        change(plugin / name, field, {"a": [1]})
    assert Declaration.read(plugin) == before


def test_a_time_may_be_written_as_one_of_yaml(plugin: Path) -> None:
    manifest = plugin / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace('"2026-01-01T00:00:00Z"', "2026-01-01T00:00:00Z"))
    assert Declaration.read(plugin).manifest.name == "sample"


def test_the_last_of_several_groups_counts(plugin: Path) -> None:
    change(plugin / "manifest.yaml", "plugins.endpoints", ["group/other.yaml", "group/sample.yaml"])
    (plugin / "group/other.yaml").write_text("settings: []\nendpoints: []\n")
    declaration = Declaration.read(plugin)
    assert [setting.name for setting in declaration.settings] == ["key", "app"]
    assert [route.path for route in declaration.routes] == ["/hello", "/<app_id>"]


def test_every_group_is_validated(plugin: Path) -> None:
    change(plugin / "manifest.yaml", "plugins.endpoints", ["group/other.yaml", "group/sample.yaml"])
    (plugin / "group/other.yaml").write_text("settings: {}\n")
    assert refusal(plugin) == "group/other.yaml: settings: Input should be a valid list"
