"""Requests are opened with the forges' own libraries, on a forge on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from plumbum import local

from fleet.errors import FleetError
from fleet.forge import connect, path_of
from tests.fleet.forge import Server, forge
from tests.fleet.laboratory import Laboratory
from tests.releases import Project, git

BRANCH = "template/v0.2.0"
REPOSITORY = "https://git.example.com/mlops/a.git"
GITLAB = {
    "GET /api/v4/projects/mlops%2Fa": {"id": 1, "default_branch": "main"},
    "GET /api/v4/projects/1/merge_requests": [],
    "POST /api/v4/projects/1/merge_requests": {"iid": 5, "web_url": "https://git/5"},
    "GET /api/v4/projects/1/repository/commits/main": {"id": "c", "status": "failed"},
    "GET /api/v4/groups/mlops": {"id": 7},
    "GET /api/v4/groups/7/projects": [{"id": 1, "http_url_to_repo": REPOSITORY}],
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("GITHUB_TOKEN", "of-github")
    monkeypatch.setenv("GITLAB_TOKEN", "of-gitlab")
    with forge() as running:
        yield running


def test_gitlab(server: Server) -> None:
    server.answers = dict(GITLAB)
    gitlab = connect({"kind": "gitlab", "url": server.url})
    assert gitlab.repositories("mlops") == [REPOSITORY]
    assert gitlab.green(REPOSITORY) is False
    opened = gitlab.request(REPOSITORY, BRANCH, "New", "text", draft=True)
    assert opened == "https://git/5"
    ((path, body),) = server.posted
    assert path == "/api/v4/projects/1/merge_requests"
    assert body == {
        "source_branch": BRANCH,
        "target_branch": "main",
        "title": "Draft: New",
        "description": "text",
        "remove_source_branch": True,
    }
    server.answers["GET /api/v4/projects/1/merge_requests"] = [
        {"iid": 4, "web_url": "https://git/4"}
    ]
    again = gitlab.request(REPOSITORY, BRANCH, "New", "text", draft=True)
    assert again == "https://git/4"
    assert len(server.posted) == 1
    assert server.tokens == {"of-gitlab"}


def test_github(server: Server) -> None:
    repo = f"{server.url}/repos/mlops/a"
    server.answers = {
        "GET /repos/mlops/a": {
            "url": repo,
            "owner": {"login": "mlops"},
            "default_branch": "main",
        },
        "GET /repos/mlops/a/pulls": [],
        "POST /repos/mlops/a/pulls": {"html_url": "https://git/pull/5"},
        "GET /repos/mlops/a/commits/main": {"sha": "c", "url": f"{repo}/commits/c"},
        "GET /repos/mlops/a/commits/c/check-runs": {
            "check_runs": [{"conclusion": "success"}, {"conclusion": "skipped"}]
        },
        "GET /repos/mlops/a/commits/c/status": {"state": "pending", "total_count": 0},
        "GET /orgs/mlops": {"url": f"{server.url}/orgs/mlops", "login": "mlops"},
        "GET /orgs/mlops/repos": [
            {"clone_url": REPOSITORY, "archived": False},
            {"clone_url": "https://git.example.com/mlops/old.git", "archived": True},
        ],
    }
    github = connect({"kind": "github", "url": server.url})
    assert github.repositories("mlops") == [REPOSITORY]
    assert github.green(REPOSITORY) is True
    opened = github.request(REPOSITORY, BRANCH, "New", "text", draft=True)
    assert opened == "https://git/pull/5"
    ((path, body),) = server.posted
    assert path == "/repos/mlops/a/pulls"
    assert {**body, "draft": True} == {
        "base": "main",
        "head": BRANCH,
        "title": "New",
        "body": "text",
        "draft": True,
    }
    server.answers["GET /repos/mlops/a/commits/c/check-runs"] = {
        "check_runs": [{"conclusion": None}]
    }
    assert github.green(REPOSITORY) is False, "it is still running"


def test_a_missing_token_or_library_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GITLAB_TOKEN", raising=False)
    with pytest.raises(FleetError, match="the variable GITLAB_TOKEN is not set"):
        connect({"kind": "gitlab"})
    monkeypatch.setitem(__import__("sys").modules, "github", None)
    with pytest.raises(FleetError, match="which needs PyGithub: write .github. behind"):
        connect({"kind": "github"})


@pytest.mark.parametrize(
    "address",
    [
        "https://git.example.com/mlops/sub/a.git",
        "git@git.example.com:mlops/sub/a.git",
        "ssh://git@git.example.com:22/mlops/sub/a",
    ],
)
def test_the_path_of_an_address(address: str) -> None:
    assert path_of(address) == "mlops/sub/a"


def test_an_update_opens_a_request_that_says_what_a_person_decides(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses are those of a host; git's own settings lead them to this machine."""
    lab = Laboratory(tmp_path)
    base = "template/conf/base/mlflow.yml.jinja"
    lab.template.release("v0.1.0")
    lab.template.replace(base, "create: true", "create: false")
    news = lab.template.read("CHANGELOG.md") + "- Experiments are created by hand.\n"
    lab.template.write("CHANGELOG.md", news)
    lab.template.release("v0.2.0")
    address = "https://git.example.com/mlops/template.git"
    config = {"GIT_CONFIG_COUNT": "2", "GITLAB_TOKEN": "of-gitlab"}
    for number, (there, here) in enumerate(
        {address: lab.template.path, REPOSITORY: tmp_path / "forge/a.git"}.items()
    ):
        config[f"GIT_CONFIG_KEY_{number}"] = f"url.{here}.insteadOf"
        config[f"GIT_CONFIG_VALUE_{number}"] = there
    for name, value in config.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COPIER_CACHE_DIR", str(tmp_path / "cache"))
    with local.env(**config):
        made = Project.copy(lab.template, tmp_path / "work/a", "v0.1.0", address)
    made.replace("conf/base/mlflow.yml", "    create: true", "    create: null")
    lab.publish("a", made)
    server.answers = dict(GITLAB)
    lab.write(
        [{"group": "mlops"}],
        template=address,
        forge={"kind": "gitlab", "url": server.url},
    )
    done = lab.command("update", "v0.2.0", "--ring", "1", **config)
    assert done.returncode == 0, done.stdout + done.stderr
    ((_, body),) = server.posted
    assert body["title"] == "Draft: Update the template from v0.1.0 to v0.2.0"
    text = body["description"]
    assert text.startswith(
        "## To decide\n\n- conf/base/mlflow.yml: tracking.experiment.create is null in"
    )
    assert "## What is new\n\n- Experiments are created by hand.\n" in text
    assert "## Files\n\n```\n" in text
    assert "conf/base/mlflow.yml" in text
    (outcome,) = lab.outcomes("v0.2.0").values()
    assert outcome["request"] == "https://git/5"
    assert git(tmp_path / "forge/a.git", "branch", "--list", BRANCH).strip() == BRANCH
    waits = lab.command("promote", "v0.2.0", **config)
    assert "Ring 1 waits: mlops/a without v0.2.0" in waits.stdout
    lab.merge("a", BRANCH)
    red = lab.command("promote", "v0.2.0", **config)
    assert "Ring 1 has v0.2.0, but the CI is not green: mlops/a." in red.stdout
    del server.answers["GET /api/v4/projects/1/repository/commits/main"]
    unknown = lab.command("promote", "v0.2.0", **config)
    assert unknown.returncode == 1
    assert "Error: mlops/a: whether its CI is green is unknown: 404" in unknown.stderr
