"""The hooks that the template publishes, as pre-commit runs them in a project."""

from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from tests.addresses import RIGHT
from tests.conftest import TEMPLATE
from tests.hooks.conftest import PreCommit
from tests.releases import Project, Template, git

MLFLOW_YML = "conf/base/mlflow.yml"
TRACKING = "src/penguin_classifier/tracking"
MARKED = "<<<<<<< before updating\na: 1\n=======\na: 2\n>>>>>>> after updating\n"


def test_a_new_project_is_clean(project: Project, pre_commit: PreCommit) -> None:
    done = pre_commit(project, "run", "--all-files")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 8
    assert project.changed == set()


@pytest.mark.parametrize("name", ["conf/base/mlflow.yml", "README.md", ".gitignore"])
def test_added_conflict_markers_stop_a_commit(
    project: Project, pre_commit: PreCommit, name: str
) -> None:
    project.write(name, project.read(name) + MARKED)
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "unmerged-files")
    assert done.returncode == 1
    assert f"{name}: an update has changed what the project has" in done.stdout
    assert ("merge-mlflow-config" in done.stdout) == name.endswith("mlflow.yml")


def test_committed_conflict_markers_are_found_in_ci(
    project: Project, pre_commit: PreCommit
) -> None:
    project.write("src/penguin_classifier/cli.py", MARKED)
    project.commit()
    done = pre_commit(project, "run", "unmerged-files", "--all-files")
    assert done.returncode == 1
    assert "src/penguin_classifier/cli.py: an update" in done.stdout


def test_a_rejected_hunk_is_found(project: Project, pre_commit: PreCommit) -> None:
    project.write("pyproject.toml.rej", "@@ -1 +1 @@\n")
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "unmerged-files")
    assert done.returncode == 1
    assert "Make it by hand in pyproject.toml, then delete this" in done.stdout


def test_a_line_of_equal_signs_is_no_conflict(
    project: Project, pre_commit: PreCommit
) -> None:
    project.write("docs.md", "Heading\n=======\n\n>>> 1 + 1\n2\n")
    git(project.path, "add", "--all")
    assert pre_commit(project, "run", "unmerged-files").returncode == 0


def conflict(project: Project) -> None:
    """Bring a project into a conflict of one key, beside an edit that is none."""
    project.replace(
        MLFLOW_YML,
        "    name: null\n\n    # Whether nodes",
        "    name: mine\n\n    # Whether nodes",
    )
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com\n")
    project.commit()
    project.update()
    assert project.unmerged == {MLFLOW_YML}
    assert project.read(MLFLOW_YML).count("<<<<<<<") == 2


def test_an_unmerged_update_is_stopped_in_every_state(
    project: Project, pre_commit: PreCommit
) -> None:
    conflict(project)
    unmerged = pre_commit(project, "run", "unmerged-files", "--all-files")
    assert unmerged.returncode == 1
    assert f"{MLFLOW_YML}: an update" in unmerged.stdout
    git(project.path, "add", "--all")
    added = pre_commit(project, "run", "unmerged-files")
    assert added.returncode == 1
    pre_commit(project, "install")
    with pytest.raises(AssertionError, match="an update has changed"):
        git(project.path, "commit", "-m", "x")
    git(project.path, "commit", "--no-verify", "-m", "x")
    committed = pre_commit(project, "run", "unmerged-files", "--all-files")
    assert committed.returncode == 1


@pytest.mark.parametrize("added", [False, True])
def test_merge_settles_what_is_no_conflict(
    project: Project, pre_commit: PreCommit, added: bool
) -> None:
    conflict(project)
    if added:
        git(project.path, "add", "--all")
    before = project.changed
    done = pre_commit(project, "run", "merge-mlflow-config", "--all-files")
    assert done.returncode == 1
    assert "tracking.run.name is 'mine' in the project and is 'pets' in" in done.stdout
    text = project.read(MLFLOW_YML)
    assert text.count("<<<<<<<") == 1
    assert (
        "<<<<<<< before updating\n    name: mine\n=======\n    name: pets\n"
        ">>>>>>> after updating\n"
    ) in text
    assert "  host: example.com\n\n  # New.\n  path: null\n" in text
    assert project.changed == before
    again = pre_commit(project, "run", "merge-mlflow-config", "--all-files")
    assert again.returncode == 1
    assert project.read(MLFLOW_YML) == text, "again does nothing"


def test_merge_marks_the_file_as_resolved_when_nothing_is_left(
    project: Project, pre_commit: PreCommit
) -> None:
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com\n")
    project.commit()
    project.update()
    assert project.unmerged == {MLFLOW_YML}
    pre_commit(project, "run", "merge-mlflow-config", "--all-files")
    assert not project.unmerged
    assert project.load(MLFLOW_YML)["ui"]["path"] is None
    assert project.load(MLFLOW_YML)["ui"]["host"] == "example.com"
    again = pre_commit(project, "run", "merge-mlflow-config", "--all-files")
    assert again.returncode == 0
    staged = git(project.path, "diff", "--cached", "--name-only").split()
    assert staged == [MLFLOW_YML], "nothing else is touched"


def test_merge_leaves_a_file_alone_that_somebody_is_settling(
    project: Project, pre_commit: PreCommit
) -> None:
    conflict(project)
    text = project.read(MLFLOW_YML).replace("  port: null", "  port: 5050")
    project.write(MLFLOW_YML, text)
    done = pre_commit(project, "run", "merge-mlflow-config", "--all-files")
    assert done.returncode == 1
    assert "has been edited since the update; settle the rest by hand" in done.stdout
    assert project.read(MLFLOW_YML) == text


def test_merge_shows_no_secret(project: Project, pre_commit: PreCommit) -> None:
    uri = "postgresql://me:hunter2@db/mlflow"
    name = "    name: null\n\n    # Whether nodes"
    project.replace(MLFLOW_YML, name, name.replace("null", uri))
    project.commit()
    project.update()
    done = pre_commit(project, "run", "merge-mlflow-config", "--all-files")
    assert "tracking.run.name is a value that looks like a secret" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert uri in project.read(MLFLOW_YML)


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("hook.py", "differs from the template's"),
        ("hook.py", "is missing"),
        ("mine.py", "has been added"),
    ],
)
def test_an_edit_of_the_templates_file_is_told(
    project: Project, pre_commit: PreCommit, file: str, state: str
) -> None:
    name = f"{TRACKING}/{file}"
    if state == "is missing":
        project.remove(name)
    else:
        project.write(name, "x = 1\n")
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "template-owned-files")
    assert done.returncode == 1
    assert f"{name}: {state}" in done.stdout
    assert "put code of yours beside tracking/" in " ".join(done.stdout.split())


def test_the_schema_is_the_templates_and_line_ends_are_no_edit(
    project: Project, pre_commit: PreCommit
) -> None:
    run = f"{TRACKING}/hook.py"
    project.write(run, project.read(run).replace("\n", "\r\n"))
    project.commit()
    assert pre_commit(project, "run", "template-owned-files").returncode == 0
    project.replace("conf/mlflow.schema.json", '"type": "integer"', '"type": "string"')
    project.commit()
    done = pre_commit(project, "run", "template-owned-files")
    assert done.returncode == 1
    assert "\nconf/mlflow.schema.json: differs" in done.stdout


def test_the_projects_own_style_does_not_edit_the_templates_files(
    project: Project, pre_commit: PreCommit
) -> None:
    project.replace("pyproject.toml", "line-length = 88", "line-length = 60")
    git(project.path, "add", "--all")
    pre_commit(project, "run", "--all-files")
    assert not {name for name in project.changed if name.startswith(TRACKING)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "server: {credential: x}",
            "server has no key credential; use mlflow_tracking",
        ),
        (
            "tracking: {run: {nested: maybe}}",
            "tracking.run.nested should be true, false, null, or a ${...} resolver",
        ),
        (
            "ui: {port: high}",
            "ui.port should be a whole number, null, or a ${...} resolver",
        ),
        ("[1, 2]", "the file should be a mapping"),
        ("a: [", "is no YAML"),
        (
            "server: {mlflow_tracking_uri: 'postgresql://me:hunter2@db/x'}",
            "server.mlflow_tracking_uri looks like a secret",
        ),
        (
            "server: {mlflow_tracking_uri: 'localhost:5055'}",
            "server.mlflow_tracking_uri is 'localhost:5055', which has no scheme: did",
        ),
        (
            "server: {mlflow_registry_uri: 'htp://me:hunter2@x'}",
            "server.mlflow_registry_uri is 'htp://me:***@x', which has the scheme",
        ),
        (
            "server: {request_header_provider: {init_kwargs: {client_secret: hunter2}}}",
            "server.request_header_provider.init_kwargs.client_secret looks like a",
        ),
    ],
)
def test_a_bad_mlflow_yml_is_told(
    project: Project, pre_commit: PreCommit, text: str, sentence: str
) -> None:
    project.write("conf/prod/mlflow.yml", text)
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "mlflow-config")
    assert done.returncode == 1
    assert f"conf/prod/mlflow.yml: {sentence}" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_a_good_mlflow_yml_passes(project: Project, pre_commit: PreCommit) -> None:
    provider = {
        "token_url": "https://login.example.com/oauth2/token",
        "variable": "MLFLOW_GATEWAY_TOKEN",
        "client_secret": "${oc.env:SECRET}",
    }
    project.write(
        "conf/prod/mlflow.yml",
        f"server: {{request_header_provider: {{init_kwargs: {provider}}}}}\n"
        "tracking: {run: {name: 2024, nested: '${globals:nested}'}}\n"
        "ui: {port: '5050'}\n",
    )
    project.write("conf/local/mlflow.yml", "server: {credentials: dev}\n")
    for number, address in enumerate(["${oc.env:TEAM}", "warehouse://plugin", *RIGHT]):
        uri = f"server: {{mlflow_tracking_uri: '{address}'}}\n"
        project.write(f"conf/env{number}/mlflow.yml", uri)
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "mlflow-config")
    assert done.returncode == 0, done.stdout


def test_what_is_left_over_is_told_and_its_edits_are_kept(
    tmp_path_factory: pytest.TempPathFactory, pre_commit: PreCommit
) -> None:
    folder = tmp_path_factory.mktemp("obsolete")
    template = Template(folder / "template")
    template.release("v0.1.0")
    project = Project.copy(template, folder / "project")
    project.replace("conf/README.md", "# Configuration", "# Our configuration")
    project.commit()
    template.remove("template/conf/README.md")
    template.replace(
        "copier.yml", "    {% endif %}\n", "    conf/README.md\n    {% endif %}\n"
    )
    template.replace(
        "template/src/{{ python_package }}/tracking/template/drift.py",
        "OBSOLETE: Mapping[str, str] = {}",
        'OBSOLETE: Mapping[str, str] = {"conf/README.md": "the README says it"}',
    )
    template.release("v0.2.0")
    project.update()
    assert project.read("conf/README.md").startswith("# Our configuration")
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "obsolete-files")
    assert done.returncode == 1
    assert "conf/README.md: the template no longer has it; the README" in done.stdout
    project.remove("conf/README.md")
    git(project.path, "add", "--all")
    assert pre_commit(project, "run", "obsolete-files").returncode == 0


def test_hooks_work_offline_once_installed(
    project: Project, pre_commit: PreCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pre_commit(project, "run", "mlflow-config").returncode == 0
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setitem(pre_commit.env, name, "http://127.0.0.1:9")
    monkeypatch.setitem(pre_commit.env, "GIT_ALLOW_PROTOCOL", "none")
    for hook in ("mlflow-config", "unmerged-files", "template-owned-files"):
        assert pre_commit(project, "run", hook, "--all-files").returncode == 0


def test_a_project_from_an_address_gets_hooks_that_work(
    template: Template,
    tmp_path: Path,
    pre_commit: PreCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COPIER_CACHE_DIR", str(tmp_path / "cache"))
    address = f"git+file://{template.path}"
    project = Project.copy(template, tmp_path / "project", address=address)
    repos = project.load(".pre-commit-config.yaml")["repos"]
    assert {"repo": f"file://{template.path}", "rev": "v0.2.0"}.items() <= repos[
        -1
    ].items()
    done = pre_commit(project, "run", "template-owned-files", "--all-files")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("address", "reference"),
    [
        ("gh:us/template", "https://github.com/us/template"),
        ("gl:/us/template.git", "https://gitlab.com/us/template.git"),
        ("git+https://git.example.com/t", "https://git.example.com/t"),
        ("https://git.example.com/t.git", "https://git.example.com/t.git"),
        ("ssh://git@git.example.com/t.git", "ssh://git@git.example.com/t.git"),
        ("git@git.example.com:us/t.git", "git@git.example.com:us/t.git"),
        ("/srv/templates/t", "/srv/templates/t"),
        ("~/t", str(Path.home() / "t")),
        ("t", str(Path("t").resolve())),
    ],
)
def test_reference_to_the_hooks(address: str, reference: str) -> None:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE / "includes"),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        autoescape=False,
    )
    module = environment.get_template("template_address.jinja").module
    assert module.template_address(address) == reference  # type: ignore[attr-defined]
