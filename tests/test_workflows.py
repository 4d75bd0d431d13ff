"""What runs on GitHub: the same make targets, of nothing but what is pinned, and no release of what is not ready for one."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_package import MANIFEST, ROOT

WORKFLOWS = {path.stem: path.read_text("utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")}


def steps(workflow: str, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(WORKFLOWS[workflow])["jobs"][job]["steps"]
    return found


def scripts(workflow: str, job: str) -> list[str]:
    return [step["run"] for step in steps(workflow, job) if "run" in step]


def passes(script: str, folder: Path, tag: str) -> bool:
    """Whether a step succeeds, as GitHub runs it."""
    environment = {"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag}
    return subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=folder, env=environment, check=False).returncode == 0


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_to_a_commit_and_say_which_version_that_is(name: str) -> None:
    uses = re.findall(r"uses: (.*)", WORKFLOWS[name])
    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_no_more_than_read_unless_a_job_says_why(name: str) -> None:
    assert yaml.safe_load(WORKFLOWS[name])["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("name", "job"), [("check", "check"), ("release", "release")])
def test_what_continuous_integration_runs_is_run(name: str, job: str) -> None:
    commands = [line for line in (ROOT / ".ci/run").read_text("utf-8").splitlines() if line.startswith("make")]
    assert [script for script in scripts(name, job) if script in commands] == commands
    assert commands == ["make check", "make test", "make coverage", "make conformance"]


@pytest.mark.parametrize(
    ("tag", "published", "is_released"),
    [("v{version}", True, True), ("v9.9.9", True, False), ("{version}", True, False), ("v{version}", False, False)],
)
def test_only_a_tag_of_the_manifests_version_without_placeholders_is_released(
    tmp_path: Path, tag: str, published: bool, is_released: bool
) -> None:
    manifest = (ROOT / "manifest.yaml").read_text("utf-8")
    if published:
        manifest = re.sub(r"^(author|repo|contact): .*$", r"\1: someone", manifest, flags=re.MULTILINE)
    else:
        manifest = re.sub(r"^contact: .*$", "contact: duck@example.com", manifest, flags=re.MULTILINE)
    (tmp_path / "manifest.yaml").write_text(manifest)
    [script] = [script for script in scripts("release", "release") if "manifest.yaml" in script]
    assert passes(script, tmp_path, tag.format(version=MANIFEST["version"])) == is_released


def test_the_notes_are_what_the_changelog_tells_of_the_version(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- x\n\n## 1.1.0\n\n- new\n- more\n\n## 1.0.0\n\n- old\n"
    )
    [script] = [script for script in scripts("release", "release") if "CHANGELOG.md" in script]

    def told(tag: str) -> str | None:
        return (tmp_path / "notes.md").read_text().strip() if passes(script, tmp_path, tag) else None

    assert told("v1.1.0") == "- new\n- more"
    assert told("v1.0.0") == "- old"
    assert told("v2.0.0") is None


GH = """#!/bin/sh
echo "gh $*" >> "$CALLS"
case "$1 $2" in "repo clone") git clone -q "$FORK" "$4" ;; "pr create") cat ../body.md >> "$CALLS" ;; esac
"""


def test_the_marketplace_gets_the_package_on_a_branch_and_a_draft(tmp_path: Path) -> None:
    fork, work, calls = tmp_path / "fork.git", tmp_path / "work", tmp_path / "calls"
    shutil.copytree(ROOT / ".github", work / ".github")
    shutil.copy(ROOT / "manifest.yaml", work)
    (work / "duck.difypkg").write_text("package")
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "CALLS": str(calls), "FORK": str(fork)}
    begin = "git init -q -b main x; cd x; git commit -q --allow-empty -m x; git clone -q --bare . $FORK"
    who = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x"}
    subprocess.run(["bash", "-ec", begin], cwd=tmp_path, env=environment | who, check=True)
    [script] = [script for script in scripts("release", "marketplace") if "gh pr create" in script]
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=work, env=environment, check=True)
    author, name, version = MANIFEST["author"], MANIFEST["name"], MANIFEST["version"]
    show = ["git", "-C", str(fork), "show", f"{name}-{version}:{author}/{name}/{name}-{version}.difypkg"]
    assert subprocess.run(show, capture_output=True, text=True, check=True).stdout == "package"
    told = calls.read_text("utf-8")
    assert f"gh pr create --draft --repo langgenius/dify-plugins --base main --head {author}:{name}-{version} " in told
    assert f"- **Source repository**: {MANIFEST['repo']}\n- **Contact**: {MANIFEST['contact']}\n" in told
    assert re.findall(r"{\w+}", told) == []
