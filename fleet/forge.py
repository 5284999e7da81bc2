"""GitHub and GitLab: groups, requests, and whether a CI is green.

Their libraries are extras of this package, imported only when ``fleet.yml`` names a forge.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import urlsplit

from .errors import FleetError

_LIBRARY = {"github": ("github", "PyGithub"), "gitlab": ("gitlab", "python-gitlab")}


class Forge(Protocol):
    """What the fleet asks of a forge."""

    def repositories(self, group: str) -> list[str]:
        """Return the addresses of all repositories of a group that are in use."""
        ...

    def request(
        self, repository: str, branch: str, title: str, body: str, *, draft: bool
    ) -> str:
        """Open a request, unless the branch has one, and return its address."""
        ...

    def green(self, repository: str) -> bool:
        """Whether the CI of the default branch's last commit has succeeded."""
        ...


def connect(options: Mapping[str, Any]) -> Forge:
    """Return the forge of ``fleet.yml``, logged in.

    Raises:
        FleetError: its library or its token is missing.
    """
    kind = options["kind"]
    module, distribution = _LIBRARY[kind]
    try:
        library = import_module(module)
    except ImportError as error:
        raise FleetError(
            f"forge.kind is {kind}, which needs {distribution}: write [{kind}] behind the "
            "name of the package, or run uvx --with "
            f"{distribution} --from <address> kedro-mlflow-fleet."
        ) from error
    variable = f"{kind.upper()}_TOKEN"
    if not (token := os.environ.get(variable)):
        raise FleetError(
            f"forge.kind is {kind}, and the variable {variable} is not set."
        )
    made = _GitHub if kind == "github" else _GitLab
    return made(library, options.get("url"), token)


def path_of(repository: str) -> str:
    """Return the path that a forge knows a repository by, from its address."""
    if "://" in repository:
        path = urlsplit(repository).path
    else:
        path = repository.rpartition(":")[2]
    return path.strip("/").removesuffix(".git")


class _GitHub:
    def __init__(self, library: Any, url: str | None, token: str) -> None:
        options = {"base_url": url} if url else {}
        self._api = library.Github(auth=library.Auth.Token(token), **options)

    def repositories(self, group: str) -> list[str]:
        found = self._api.get_organization(group).get_repos()
        return sorted(repo.clone_url for repo in found if not repo.archived)

    def request(
        self, repository: str, branch: str, title: str, body: str, *, draft: bool
    ) -> str:
        repo = self._api.get_repo(path_of(repository))
        head = f"{repo.owner.login}:{branch}"
        for pull in repo.get_pulls(state="open", head=head):
            return str(pull.html_url)
        made = repo.create_pull(
            base=repo.default_branch, head=branch, title=title, body=body, draft=draft
        )
        return str(made.html_url)

    def green(self, repository: str) -> bool:
        repo = self._api.get_repo(path_of(repository))
        commit = repo.get_commit(repo.default_branch)
        ends = {run.conclusion for run in commit.get_check_runs()}
        state = commit.get_combined_status()
        passed = not state.total_count or state.state == "success"
        return passed and ends <= {"success", "skipped", "neutral"}


class _GitLab:
    def __init__(self, library: Any, url: str | None, token: str) -> None:
        self._api = library.Gitlab(url, private_token=token)

    def repositories(self, group: str) -> list[str]:
        projects = self._api.groups.get(group).projects
        found = projects.list(archived=False, include_subgroups=True, iterator=True)
        return sorted(project.http_url_to_repo for project in found)

    def request(
        self, repository: str, branch: str, title: str, body: str, *, draft: bool
    ) -> str:
        project = self._api.projects.get(path_of(repository))
        requests = project.mergerequests
        for found in requests.list(state="opened", source_branch=branch, iterator=True):
            return str(found.web_url)
        made = requests.create(
            {
                "source_branch": branch,
                "target_branch": project.default_branch,
                "title": f"Draft: {title}" if draft else title,
                "description": body,
                "remove_source_branch": True,
            }
        )
        return str(made.web_url)

    def green(self, repository: str) -> bool:
        project = self._api.projects.get(path_of(repository))
        commit = project.commits.get(project.default_branch)
        return commit.status in (None, "success", "skipped")
