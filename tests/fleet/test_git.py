"""git's failures are sentences, and it ends."""

import os
import shlex
import socket
from pathlib import Path

import pytest

from fleet import git as fleet_git
from fleet.errors import FleetError
from fleet.git import git, remote_branches
from tests.releases import git as plain_git


@pytest.mark.skipif(os.name == "nt", reason="stands in for ssh by a script")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["ls-remote", "--", "git@git.example.com:a.git"],
            "git ls-remote: git@host: Permission denied (publickey); "
            "Could not read from remote repository.",
        ),
        (
            ["ls-remote", "--", "/nowhere"],
            "git ls-remote: '/nowhere' does not appear to be a git repository; "
            "Could not read from remote repository.",
        ),
    ],
)
def test_a_failure_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    said = "git@host: Permission denied (publickey)."
    monkeypatch.setenv(
        "GIT_SSH_COMMAND",
        f"sh -c {shlex.quote(f'echo {shlex.quote(said)} >&2; exit 255')}",
    )
    with pytest.raises(FleetError) as error:
        git(*words)
    assert error.value.message == sentence


def test_what_a_host_says_to_a_refused_branch_is_shown(tmp_path: Path) -> None:
    plain_git(tmp_path, "init", "-q", "--bare", "host.git")
    hook = tmp_path / "host.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho\necho 'Branches need a number.'\nexit 1\n")
    hook.chmod(0o755)
    plain_git(tmp_path, "init", "-q", "-b", "main", "work")
    plain_git(tmp_path / "work", "commit", "-q", "--allow-empty", "-m", "x")
    with pytest.raises(FleetError) as error:
        git("push", "--quiet", "../host.git", "main", cwd=tmp_path / "work")
    assert error.value.message.startswith("git push: Branches need a number; ! [remote")


def test_a_host_that_never_answers_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet_git, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as host:
        address = f"git://127.0.0.1:{host.getsockname()[1]}/a.git"
        with pytest.raises(FleetError, match="git ls-remote: no end after 0.5 seconds"):
            remote_branches(address)


def test_a_web_server_that_never_answers_ends_git_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or git's helper for HTTP would be left behind."""
    assert int(fleet_git._DEFAULTS["GIT_HTTP_LOW_SPEED_TIME"]) < fleet_git.SECONDS
    monkeypatch.setenv("GIT_HTTP_LOW_SPEED_TIME", "1")
    with socket.create_server(("127.0.0.1", 0)) as host:
        address = f"http://127.0.0.1:{host.getsockname()[1]}/a.git"
        with pytest.raises(FleetError, match="git ls-remote: .*too slow"):
            remote_branches(address)
