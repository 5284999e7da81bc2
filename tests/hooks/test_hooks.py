"""The hooks that the template publishes, as pre-commit runs them in a project."""

import shutil
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
    assert done.stdout.count("Passed") == 11
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
    assert ("merge-config" in done.stdout) == name.endswith("mlflow.yml")


def test_committed_conflict_markers_are_found_in_ci(
    project: Project, pre_commit: PreCommit
) -> None:
    project.write("src/penguin_classifier/cli.py", MARKED)
    project.commit()
    done = pre_commit(project, "run", "unmerged-files", "--all-files")
    assert done.returncode == 1
    assert "src/penguin_classifier/cli.py: an update" in done.stdout


def test_bytes_that_an_update_would_drop_stop_a_commit(
    project: Project, pre_commit: PreCommit
) -> None:
    names = ["src/penguin_classifier/settings.py", "pyproject.toml", "own.csv"]
    for name in names:
        with (project.path / name).open("ab") as file:
            file.write(b"# caf\xe9\n")
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "utf8-files")
    assert done.returncode == 1
    for name in names[:2]:
        assert f"{name}: is not in UTF-8, and an update would drop" in done.stdout
    assert "own.csv" not in done.stdout, "an update does not touch it"


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
    done = pre_commit(project, "run", "merge-config", "--all-files")
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
    again = pre_commit(project, "run", "merge-config", "--all-files")
    assert again.returncode == 1
    assert project.read(MLFLOW_YML) == text, "again does nothing"


def test_merge_marks_the_file_as_resolved_when_nothing_is_left(
    project: Project, pre_commit: PreCommit
) -> None:
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com\n")
    project.commit()
    project.update()
    assert project.unmerged == {MLFLOW_YML}
    pre_commit(project, "run", "merge-config", "--all-files")
    assert not project.unmerged
    assert project.load(MLFLOW_YML)["ui"]["path"] is None
    assert project.load(MLFLOW_YML)["ui"]["host"] == "example.com"
    again = pre_commit(project, "run", "merge-config", "--all-files")
    assert again.returncode == 0
    staged = git(project.path, "diff", "--cached", "--name-only").split()
    assert staged == [MLFLOW_YML], "nothing else is touched"


def test_merge_leaves_a_file_alone_that_somebody_is_settling(
    project: Project, pre_commit: PreCommit
) -> None:
    conflict(project)
    text = project.read(MLFLOW_YML).replace("  port: null", "  port: 5050")
    project.write(MLFLOW_YML, text)
    done = pre_commit(project, "run", "merge-config", "--all-files")
    assert done.returncode == 1
    assert "has been edited since the update; resolve the rest by hand" in done.stdout
    assert project.read(MLFLOW_YML) == text


def test_merge_shows_no_secret(project: Project, pre_commit: PreCommit) -> None:
    uri = "postgresql://me:hunter2@db/mlflow"
    name = "    name: null\n\n    # Whether nodes"
    project.replace(MLFLOW_YML, name, name.replace("null", uri))
    project.commit()
    project.update()
    done = pre_commit(project, "run", "merge-config", "--all-files")
    assert "tracking.run.name is a value that looks like a secret" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert uri in project.read(MLFLOW_YML)


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("errors.py", "differs from the template's"),
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
    run = f"{TRACKING}/errors.py"
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
            "ui.port should be a whole number from 1 to 65535, null, or a ${...} resolver",
        ),
        ("[1, 2]", "the file should be a mapping"),
        ("a: [", "cannot be read: while parsing"),
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


BAD = {
    "tracking: {run: {nested: 3}}": (
        "tracking.run.nested should be true, false, null, or a ${...} resolver."
    ),
    "tracking: {disable_tracking: {pipelines: 3}}": (
        "tracking.disable_tracking.pipelines should be a list, null, or a ${...} "
        "resolver."
    ),
    "tracking: {params: {long_params_strategy: 3}}": (
        "tracking.params.long_params_strategy should be fail, truncate, tag, null, or "
        "a ${...} resolver."
    ),
    "ui: {port: 99999}": "ui.port should be a whole number from 1 to 65535, null, or a",
    "ui: {port: '0'}": "ui.port should be a whole number from 1 to 65535, null, or a",
    "tracking: 3": "tracking should be a mapping, null, or a ${...} resolver.",
    "1: 2": "the file has no key 1; use server, tracking, ui.",
    "tracking: {1: 2, 3: 4}": "tracking has no key 1, 3; use disable_tracking,",
    "a: &a [*a]": "cannot be read: line 1 contains itself.",
    "ui: {host: '\xe9'}": "cannot be read: it is not in UTF-8.",
}


def test_no_mlflow_yml_ends_in_a_traceback(
    project: Project, pre_commit: PreCommit
) -> None:
    for number, text in enumerate(BAD):
        file = project.path / f"conf/env{number}/mlflow.yml"
        file.parent.mkdir()
        file.write_bytes(text.encode("latin-1"))
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "mlflow-config")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    for number, sentence in enumerate(BAD.values()):
        assert f"conf/env{number}/mlflow.yml: {sentence}" in done.stdout


def test_a_missing_schema_is_told_with_a_way_that_destroys_nothing(
    project: Project, pre_commit: PreCommit
) -> None:
    project.remove("conf/mlflow.schema.json")
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "mlflow-config", "--all-files")
    assert done.returncode == 1
    assert "conf/mlflow.schema.json: is missing. 'git restore" in done.stdout
    assert "recopy" not in done.stdout


def test_markers_are_found_whatever_git_is_set_to(
    project: Project, pre_commit: PreCommit
) -> None:
    project.write(".gitignore", project.read(".gitignore") + MARKED)
    project.write("conf/README.md", "||||||| last update\n")
    project.commit()
    settings = {"color.ui": "always", "color.grep": "always", "grep.fullName": "true"}
    for kind in ("extended", "fixed", "perl"):
        for key, value in {**settings, "grep.patternType": kind}.items():
            git(project.path, "config", key, value)
        done = pre_commit(project, "run", "unmerged-files", "--all-files")
        assert done.returncode == 1
        named = [line.split(": an update")[0] for line in done.stdout.splitlines()]
        assert {".gitignore", "conf/README.md"} <= set(named)


def test_documentation_that_shows_markers_is_excepted_by_a_line(
    project: Project, pre_commit: PreCommit
) -> None:
    project.write("docs/conflicts.md", MARKED)
    project.write("docs/others.md", MARKED)
    attributes = project.path / ".gitattributes"
    with attributes.open("a") as file:
        file.write("docs/conflicts.md shows-conflict-markers\n")
    project.commit()
    (step,) = [
        step["run"]
        for step in project.load(".github/workflows/ci.yml")["jobs"]["test"]["steps"]
        if "git grep" in step.get("run", "")
    ]
    done = pre_commit(project, "run", "unmerged-files", "--all-files")
    ci = pre_commit.shell(project, step)
    assert (done.returncode, ci.returncode) == (1, 1)
    assert "docs/others.md" in done.stdout
    assert "docs/others.md" in ci.stdout
    assert "docs/conflicts.md" not in done.stdout + ci.stdout
    project.remove("docs/others.md")
    project.commit()
    done = pre_commit(project, "run", "unmerged-files", "--all-files")
    ci = pre_commit.shell(project, step)
    assert (done.returncode, ci.returncode) == (0, 0)


def test_the_gitlab_job_stops_at_markers(
    template: Template, tmp_path: Path, pre_commit: PreCommit
) -> None:
    project = Project.copy(template, tmp_path / "project", ci="gitlab")
    script = project.load(".gitlab-ci.yml")["test"]["script"]
    assert "pip install" in script[1]
    lines = "\n".join([script[0], "echo goes on"])  # as its runner puts them together
    assert "goes on" in pre_commit.shell(project, lines).stdout
    project.write("pyproject.toml", MARKED)
    project.commit()
    done = pre_commit.shell(project, lines)
    assert done.returncode == 1
    assert "goes on" not in done.stdout


@pytest.fixture
def monorepo(made: Project, tmp_path: Path) -> Project:
    """A repository with two projects below its root, and something that is none."""
    repository = Project(tmp_path / "monorepo")
    for name in ("cats", "pets/seals"):
        without_git = shutil.ignore_patterns(".git")
        shutil.copytree(made.path, repository.path / name, ignore=without_git)
    shutil.copy(made.path / ".pre-commit-config.yaml", repository.path)
    repository.write("tools/src/tools/tracking/parcels.py", "x = 1\n")
    repository.write("tools/.copier-answers.yml", "_commit: v9\n_src_path: other\n")
    git(repository.path, "init", "-q", "-b", "main")
    repository.commit()
    return repository


def test_every_project_below_the_root_is_checked(
    monorepo: Project, pre_commit: PreCommit
) -> None:
    hooks = [
        "mlflow-config",
        "template-owned-files",
        "obsolete-files",
        "unmerged-files",
    ]
    for hook in hooks:
        done = pre_commit(monorepo, "run", hook, "--all-files")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Skipped" not in done.stdout
    drift = f"cats/{TRACKING}/template/drift.py"
    monorepo.replace(
        drift,
        "OBSOLETE: Mapping[str, str] = {}",
        'OBSOLETE: Mapping[str, str] = {"conf/README.md": "the README says it"}',
    )
    monorepo.write("cats/conf/prod/mlflow.yml", "ui: {port: high}\n")
    monorepo.write(f"pets/seals/{TRACKING}/errors.py", "x = 1\n")
    monorepo.write("pets/seals/pyproject.toml", MARKED)
    monorepo.commit()
    said = {hook: pre_commit(monorepo, "run", hook, "--all-files") for hook in hooks}
    assert all(done.returncode == 1 for done in said.values())
    assert "\ncats/conf/prod/mlflow.yml: ui.port" in said["mlflow-config"].stdout
    edited = said["template-owned-files"].stdout
    assert f"\npets/seals/{TRACKING}/errors.py: differs" in edited
    assert f"\n{drift}: differs" in edited
    assert "tools" not in edited
    assert "\ncats/conf/README.md: the template no" in said["obsolete-files"].stdout
    assert "pets/seals/conf/README.md" not in said["obsolete-files"].stdout
    assert "\npets/seals/pyproject.toml: an" in said["unmerged-files"].stdout


def test_merge_config_works_in_a_project_below_the_root(
    monorepo: Project, pre_commit: PreCommit
) -> None:
    name = f"cats/{MLFLOW_YML}"
    monorepo.replace(name, "  host: null\n", "  host: example.com\n")
    monorepo.commit()
    Project(monorepo.path / "cats").update()
    assert monorepo.unmerged == {name}
    pre_commit(monorepo, "run", "merge-config", "--all-files")
    assert not monorepo.unmerged
    assert monorepo.load(name)["ui"]["host"] == "example.com"


@pytest.mark.slow
def test_a_newer_hook_knows_what_an_older_project_still_needs(
    tmp_path_factory: pytest.TempPathFactory, pre_commit: PreCommit
) -> None:
    """The hooks' version moves in a pull request of its own, before the update."""
    folder = tmp_path_factory.mktemp("newer")
    template = Template(folder / "template")
    template.release("v0.1.0")
    project = Project.copy(template, folder / "project")
    template.replace(
        "template/src/{{ python_package }}/tracking/template/drift.py",
        "OBSOLETE: Mapping[str, str] = {}",
        'OBSOLETE: Mapping[str, str] = {".github/workflows/ci.yml": "checks.yml does"}',
    )
    template.release("v0.2.0")
    project.replace(".pre-commit-config.yaml", "rev: v0.1.0", "rev: v0.2.0")
    project.commit()
    done = pre_commit(project, "run", "obsolete-files")
    assert done.returncode == 0, done.stdout


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


def test_what_is_left_over_is_deleted_or_its_edits_are_kept(
    tmp_path_factory: pytest.TempPathFactory, pre_commit: PreCommit
) -> None:
    folder = tmp_path_factory.mktemp("obsolete")
    template = Template(folder / "template")
    template.release("v0.1.0")
    project = Project.copy(template, folder / "project")
    project.replace("conf/README.md", "# Configuration", "# Our configuration")
    project.commit()
    template.remove("template/conf/README.md")
    template.remove("template/.editorconfig")
    gone = "    conf/README.md\n    .editorconfig\n"
    template.replace("copier.yml", "    {% endif %}\n", f"{gone}    {{% endif %}}\n")
    template.replace(
        "template/src/{{ python_package }}/tracking/template/drift.py",
        "OBSOLETE: Mapping[str, str] = {}",
        'OBSOLETE: Mapping[str, str] = {"conf/README.md": "the README says it", '
        '".editorconfig": "ruff says it"}',
    )
    template.release("v0.2.0")
    project.update()
    assert (project.path / ".editorconfig").exists(), "copier leaves both"
    assert project.read("conf/README.md").startswith("# Our configuration")
    git(project.path, "add", "--all")
    done = pre_commit(project, "run", "obsolete-files")
    assert done.returncode == 1
    assert "conf/README.md: the template no longer has it; the README" in done.stdout
    assert ".editorconfig: deleted; the template no longer has it" in done.stdout
    assert not (project.path / ".editorconfig").exists()
    assert project.read("conf/README.md").startswith("# Our configuration")
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


@pytest.mark.slow
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
