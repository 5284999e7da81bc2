"""status, promote, enforce and fleet.yml."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from fleet.config import load
from fleet.errors import FleetError
from tests.fleet.laboratory import ENV, Laboratory
from tests.releases import Project, git

TRACKING = "src/penguin_classifier/tracking"
BRANCH = "template/v0.2.0"


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    made = Laboratory(tmp_path)
    for version in ("v0.1.0", "v0.2.0", "v0.3.0rc1"):
        made.template.release(version)
    return made


def edited(project: Project) -> None:
    project.replace(f"{TRACKING}/errors.py", "from", "# ours\nfrom")


def stale(project: Project) -> None:
    project.replace(".copier-answers.yml", "_commit: v0.1.0", "_commit: v0.2.0")


def test_status_shows_where_every_project_stands(lab: Laboratory) -> None:
    answers = ".copier-answers.yml"
    lab.write(
        [lab.add("current", "v0.2.0"), lab.add("behind", "v0.1.0")],
        [
            lab.add("ahead", "v0.3.0rc1"),
            lab.add("stale", "v0.1.0", stale),
            lab.add("edited", "v0.2.0", edited),
            lab.add(
                "untrusted",
                "v0.2.0",
                lambda p: p.replace(answers, "_path: /", "_path: https://me:pw@x/"),
            ),
            lab.add("broken", "v0.2.0", lambda p: p.remove(answers)),
        ],
    )
    done = lab.command("status", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["newest"] == "v0.2.0", "a release candidate is for who asks for it"
    for project in found["projects"]:
        assert project["state"] == Path(project["repository"]).stem
    rings = [project["ring"] for project in found["projects"]]
    assert rings == [1, 1, 2, 2, 2, 2, 2]
    table = lab.command("status").stdout
    assert "1 of 7 projects are current" in table
    assert f"differ: {TRACKING}/errors.py" in " ".join(table.split())
    page = lab.command("status", "--format", "html").stdout
    assert '<div class="behind" style="flex: 1" title="1 behind"></div>' in page
    assert "http" not in page.split("<table>")[0], "it needs no other file"
    assert "pw@" not in done.stdout + table + page


@pytest.mark.slow
def test_status_shows_the_version_of_the_last_run(lab: Laboratory) -> None:
    answers = ".copier-answers.yml"
    slug = "project_slug: penguin-classifier"

    def named(name: str) -> Callable[[Project], None]:
        return lambda project: project.replace(answers, slug, f"project_slug: {name}")

    ring = [
        lab.add(name, "v0.2.0", named(slug))
        for name, slug in (("a", "a"), ("b", "same"), ("c", "same"), ("d", "d"))
    ]
    uri = f"sqlite:///{lab.folder.as_posix()}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    runs: list[tuple[str, str, dict[str, str]]] = [
        ("a", "v0.1.0", {"template.edited": "run.py"}),
        ("same", "v0.1.0", {"mlflow.source.git.repoURL": f"file://{ring[1]}"}),
        ("same", "v0.2.0", {"mlflow.source.git.repoURL": ring[2]}),
        ("a", "v0.2.0", {}),
    ]
    for day, (project, version, tags) in enumerate(runs, 1):
        tags |= {"template.project": project, "template.version": version}
        experiment = client.create_experiment(str(day))
        client.create_run(experiment, start_time=day * 86_400_000, tags=tags)
    lab.write(ring, tracking_uri=uri)
    done = lab.command("status", "--format", "json")
    found = json.loads(done.stdout)["projects"]
    versions = [(run := project["last_run"]) and run["version"] for project in found]
    assert versions == ["v0.2.0", "v0.1.0", "v0.2.0", None], done.stderr
    assert found[0]["last_run"] == {
        "version": "v0.2.0",
        "edited": False,
        "date": "1970-01-05",
    }
    assert "│ v0.1.0, 1970-01-03 │" in lab.command("status").stdout
    assert "<td>none</td>" in lab.command("status", "--format", "html").stdout
    lab.write(ring[:1], tracking_uri="http://127.0.0.1:9")
    away = lab.command("status")
    assert away.returncode == 0
    assert "The last runs are unknown: http://127.0.0.1:9: " in away.stderr
    assert "last run" not in away.stdout


def test_promote_opens_a_ring_when_the_last_one_is_merged(lab: Laboratory) -> None:
    lab.write([lab.add("a", "v0.1.0")], [lab.add("b", "v0.1.0")])
    done = lab.command("promote", "v0.2.0", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "Ring 1 is next.\n")
    assert lab.outcomes("v0.2.0") == {}
    assert "1 updated" in lab.command("promote", "v0.2.0").stdout
    trace = lab.folder / "trace"
    found = lab.command("status", "--format", "json", GIT_TRACE=str(trace))
    first, second = json.loads(found.stdout)["projects"]
    assert (first["state"], first["branch"], second["branch"]) == ("behind", BRANCH, "")
    asked = re.findall("run_command: .*git-upload-pack", trace.read_text("utf-8"))
    assert len(asked) == 3, "the template and each project once"
    table = " ".join(lab.command("status").stdout.split())
    assert f"Its branch {BRANCH} waits to be merged." in table
    waits = lab.command("promote", "v0.2.0")
    assert waits.returncode == 0
    assert "Ring 1 waits: forge/a without v0.2.0" in waits.stdout
    assert set(lab.outcomes("v0.2.0")) == {"a"}
    git(lab.bare("a"), "branch", "-q", "-D", BRANCH)  # to have it made again
    assert "1 updated" in lab.command("promote", "v0.2.0").stdout
    lab.merge("a", BRANCH)
    opened = lab.command("promote", "v0.2.0")
    assert "Ring 2 is next." in opened.stdout
    assert set(lab.outcomes("v0.2.0")) == {"a", "b"}
    lab.merge("b", BRANCH)
    done = lab.command("promote", "v0.2.0")
    assert (done.returncode, done.stdout) == (0, "Every project has v0.2.0.\n")


def test_enforce_fails_below_the_minimum(lab: Laboratory) -> None:
    lab.write(
        [lab.add("old", "v0.1.0"), lab.add("new", "v0.2.0")],
        [lab.add("stale", "v0.1.0", stale)],
        minimum="v0.2.0",
    )
    done = lab.command("enforce")
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first == (
        "forge/old: the template's version is v0.1.0, and v0.2.0 is the minimum. "
        "Run copier update."
    )
    assert second.startswith("forge/stale: src/penguin_classifier/tracking is v0.1.0")
    of_one = ["enforce", str(lab.folder / "work/new"), "--minimum", "v0.2.0"]
    assert lab.command("--fleet", "nowhere.yml", *of_one).returncode == 0
    here = [sys.executable, "-m", "fleet.cli", "enforce", ".", "--minimum", "v0.2.0"]
    done = subprocess.run(
        here,
        cwd=lab.folder / "work/old",
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == (
        "penguin-classifier: the template's version is v0.1.0, and v0.2.0 is the "
        "minimum. Run copier update.\n"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rings: [[a]]", "template is missing."),
        (
            "template: t\nring: [[a]]",
            "ring is no key of fleet.yml: did you mean 'rings'?",
        ),
        (
            "template: t\nrings: [[a], [a, {repository: a, folders: [b]}]]",
            ": rings: write each repository once, with all of its folders: a.",
        ),
        (
            "template: t\nrings: [[{folders: [b]}]]",
            "write one of 'repository' and 'group'.",
        ),
        (
            "template: t\nrings: [[a]]\nminimum: new",
            "minimum is 'new': write a version",
        ),
        (
            "template: t\nrings: [[a]]\nforge: {kind: svn}",
            "input should be 'github' or",
        ),
        ("template: t\nrings: []", "rings is []: list should have at least 1 item"),
        ("template: [", "is no YAML"),
        ("", "template is missing."),
    ],
)
def test_a_mistake_in_fleet_yml_is_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "fleet.yml"
    file.write_text(text, "utf-8")
    with pytest.raises(FleetError) as error:
        load(file)
    assert str(file) in error.value.message
    assert sentence in error.value.message


def test_a_missing_fleet_yml_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="fleet.yml cannot be read: No such file"):
        load(tmp_path / "fleet.yml")


@pytest.mark.slow
def test_it_runs_from_the_templates_address_without_an_installation(
    lab: Laboratory,
) -> None:
    git(lab.template.path, "checkout", "-q", "v0.2.0")
    words = [
        "tool",
        "run",
        "--quiet",
        "--from",
        f"git+file://{lab.template.path}@v0.2.0",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "uv", *words, "kedro-mlflow-fleet", "enforce", "--help"],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Fail where a version is below the minimum" in done.stdout
    project = lab.folder / "work/a"
    lab.write([lab.add("a", "v0.1.0")])
    words += ["--python", sys.executable, "kedro-mlflow-fleet"]
    for command in (
        ["status", "--format", "html"],
        ["update", "v0.2.0", "--ring", "1"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "uv", *words, *command],
            cwd=lab.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert project.exists()
    assert lab.outcomes("v0.2.0")["a"]["result"] == "updated"
