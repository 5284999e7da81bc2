"""``kedro mlflow …``: what the commands do, and their exit codes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from tracking.commands import ui
from tracking.commands.cli import mlflow_commands
from tracking.config.rendering import documented_yaml

from tests.loopback import free_port, wait_until
from tests.tracking.conftest import Project, kedro, kedro_here, run_kedro

REGISTRY = """
from kedro.pipeline import Pipeline, node
def register_pipelines():
    return {"__default__": Pipeline([node(lambda: 1, None, "one", name="one")])}
"""


def test_help_says_in_full_what_each_command_does() -> None:
    shown = CliRunner().invoke(mlflow_commands, ["--help"], terminal_width=80).output
    assert set(mlflow_commands.commands) == {
        *("check", "diff", "finish", "init", "open", "package", "predict", "rerun"),
        *("logs", "resume", "runs", "serve", "start", "sync", "ui"),
    }
    assert all(f"  {name} " in shown for name in mlflow_commands.commands)
    assert "..." not in shown.partition("Commands:")[2]


def test_init_makes_the_environment_and_hides_nothing_of_base(project: Project) -> None:
    project.write("conf/base/mlflow.yml", "tracking: {experiment: {name: mine}}")
    done = kedro_here(project, "init", "--env", "qa")
    assert done.returncode == 0, done.stderr
    found = kedro_here(project, "check", "--env", "qa", "--format", "json")
    assert json.loads(found.stdout)[0]["experiment"] == "mine"


def test_init_of_base_documents_every_key(project: Project) -> None:
    assert kedro_here(project, "init", "--env", "base", "--force").returncode == 0
    assert (project.path / "conf/base/mlflow.yml").read_text() == documented_yaml()


def test_init_writes_nowhere_but_into_the_configuration(project: Project) -> None:
    done = kedro_here(project, "init", "--env", "../x")
    assert done.returncode == 1
    assert "no name for an environment" in done.stderr
    assert not (project.path / "x").exists()


def test_init_loses_nothing_without_force(project: Project) -> None:
    project.write("conf/qa/mlflow.yml", "ui: {port: 5001}")
    done = kedro_here(project, "init", "--env", "qa")
    assert done.returncode == 1
    assert "--force" in done.stderr
    assert (project.path / "conf/qa/mlflow.yml").read_text() == "ui: {port: 5001}"
    assert kedro_here(project, "init", "--env", "qa", "--force").returncode == 0


def test_init_follows_kedro_env(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_ENV", "qa")
    assert kedro_here(project, "init").returncode == 0
    assert (project.path / "conf/qa/mlflow.yml").is_file()


def test_check_finds_every_environment_in_order(project: Project) -> None:
    done = kedro_here(project, "check", "--all", "--format", "json")
    findings = json.loads(done.stdout)
    assert [f["environment"] for f in findings] == ["local", "prod", "staging"]
    assert all(f["ok"] and f["tracking_uri"] == project.store for f in findings)
    assert done.returncode == 0


def test_check_exits_by_the_result_and_names_what_is_wrong(project: Project) -> None:
    project.write(
        "conf/staging/mlflow.yml", "server: {mlflow_tracking_uri: 'http://127.0.0.1:9'}"
    )
    project.write("conf/prod/mlflow.yml", "servr: {}")
    done = kedro_here(project, "check", "--all")
    assert done.returncode == 1
    output = " ".join(done.stdout.split())
    assert "http://127.0.0.1:9 does not answer" in output
    assert "did you mean 'server'?" in output


def call(project: Project, command: str) -> subprocess.CompletedProcess[str]:
    group, _, words = command.partition(" ")
    if group == "mlflow":
        return kedro_here(project, *words.split())
    return run_kedro(project.path, *command.split())


@pytest.mark.parametrize("command", ["run", "mlflow check", "mlflow runs", "mlflow ui"])
def test_address_without_a_scheme_is_a_question(project: Project, command: str) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: 'localhost:5055'}")
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    done = call(project, command)
    assert done.returncode == 1
    output = " ".join((done.stdout + done.stderr).split())
    assert (
        "conf/local/mlflow.yml: server.mlflow_tracking_uri is 'localhost:5055', which has "
        "no scheme: did you mean http://localhost:5055?"
    ) in output
    assert "Traceback" not in output
    assert len(output) < 800


@pytest.mark.parametrize("command", ["run", "mlflow check", "mlflow runs", "mlflow ui"])
def test_environment_that_is_not_there_is_told(project: Project, command: str) -> None:
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    done = call(project, f"{command} --env stagin")
    assert done.returncode == 1
    output = " ".join((done.stdout + done.stderr).split())
    assert "There is no environment 'stagin' (did you mean 'staging'?)" in output


@pytest.mark.parametrize(
    ("registry", "sentence"),
    [
        (
            "def register_pipelines():\n    return {}\n",
            "This project has no pipeline yet. Create one with 'kedro pipeline create",
        ),
        (
            "from kedro.pipeline import Pipeline\n"
            "def register_pipelines():\n    return {'__default__': Pipeline([])}\n",
            "This project has no pipeline yet. Create one with 'kedro pipeline create",
        ),
        (
            REGISTRY.replace('{"__default__"', '{"__default__": Pipeline([]), "a"'),
            "There is no default pipeline with nodes. Name another one, for example "
            "'kedro run --pipelines a'",
        ),
    ],
)
def test_run_of_an_empty_pipeline_is_a_sentence(
    project: Project, registry: str, sentence: str
) -> None:
    project.write("src/tracked/pipeline_registry.py", registry)
    done = run_kedro(project.path, "run")
    assert done.returncode == 1
    assert sentence in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr


def test_run_of_a_named_pipeline_needs_no_default(project: Project) -> None:
    registry = REGISTRY.replace('{"__default__"', '{"__default__": Pipeline([]), "a"')
    project.write("src/tracked/pipeline_registry.py", registry)
    assert run_kedro(project.path, "run", "--pipelines", "a").returncode == 0


def test_check_knows_the_pipelines_that_may_be_disabled(project: Project) -> None:
    project.mlflow_yml("tracking: {disable_tracking: {pipelines: [__defualt__]}}")
    done = kedro_here(project, "check")
    assert done.returncode == 1
    output = " ".join(done.stdout.split())
    assert "local/mlflow.yml: tracking.disable_tracking.pipelines names" in output
    assert "did you mean '__default__'?" in output


def test_check_follows_kedro_env(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_ENV", "staging")
    done = kedro_here(project, "check", "--format", "json")
    assert json.loads(done.stdout)[0]["environment"] == "staging"


def test_json_stands_alone_on_stdout(project: Project) -> None:
    settings = project.path / "src/tracked/settings.py"
    settings.write_text(
        settings.read_text()
        + "\nclass Talkative:\n"
        + "    from kedro.framework.hooks import hook_impl\n"
        + "    @hook_impl\n"
        + "    def after_context_created(self, context):\n"
        + "        import logging; logging.getLogger('tracked').warning('by the way')\n"
        + "HOOKS = (*HOOKS, Talkative())\n"
    )
    done = kedro(project.path, "check", "--format", "json")
    assert json.loads(done.stdout)[0]["ok"]
    assert "by the way" in done.stderr


@pytest.mark.slow
def test_json_from_another_folder_says_what_stands_before_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kedro logs when it is imported, which no project can prevent."""
    folder = project.path / "data"
    done = kedro(folder, "check", "--format", "json")
    assert json.loads(done.stdout.splitlines()[-1])[0]["ok"]
    assert "Kedro has logged to stdout before the JSON" in done.stderr
    logging_yml = project.path / "conf/logging.yml"
    assert f"KEDRO_LOGGING_CONFIG={logging_yml}" in done.stderr
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", str(logging_yml))
    done = kedro(folder, "check", "--format", "json")
    assert json.loads(done.stdout)[0]["ok"]
    assert "before the JSON" not in done.stderr


def test_ui_of_a_server_that_does_not_answer_is_a_sentence(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: 'http://127.0.0.1:9'}")
    done = kedro_here(project, "ui")
    assert done.returncode == 1
    assert "The MLflow server at http://127.0.0.1:9 does not answer" in done.stderr
    assert "The runs are at" not in done.stdout


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which a browser writes what it opens."""
    browser = tmp_path / "bin/xdg-open"
    browser.parent.mkdir()
    browser.write_text(f"#!/bin/sh\necho $1 > {tmp_path}/opened\n")
    browser.chmod(0o700)
    monkeypatch.setenv("PATH", f"{browser.parent}:{os.environ['PATH']}")
    return tmp_path / "opened"


def test_browser_opens_the_experiment_of_a_server_or_one_run(
    project: Project, server: str, opened: Path
) -> None:
    name = f"pages {project.path.parent.name}"
    project.mlflow_yml(
        f"server: {{mlflow_tracking_uri: '{server}'}}\n"
        f"tracking: {{experiment: {{name: '{name}'}}}}"
    )

    def page(*words: str) -> str:
        opened.unlink(missing_ok=True)
        done = kedro_here(project, *words)
        assert done.returncode == 0, done.stderr
        wait_until(opened.exists)
        wait_until(lambda: bool(opened.read_text()))
        address = opened.read_text().strip()
        assert done.stdout.splitlines()[-1] == f"The runs are at {address}"
        return address.removeprefix(server)

    assert page("ui") == ""  # there is no experiment yet
    done = kedro_here(project, "open")
    assert (done.returncode, "No runs yet" in done.stderr) == (1, True)
    client = MlflowClient(server)
    id_ = client.create_experiment(name)
    first, second = (client.create_run(id_).info.run_id for _ in range(2))
    assert page("ui") == f"/#/experiments/{id_}/runs"
    assert page("open", first[:8]) == f"/#/experiments/{id_}/runs/{first}"
    client.set_terminated(second)
    assert page("open") in {f"/#/experiments/{id_}/runs/{r}" for r in (first, second)}
    done = kedro_here(project, "open", "0" * 32)
    assert done.returncode == 1
    assert f"{server} has no run {'0' * 32}." in done.stderr


def test_without_a_browser_the_address_is_there(
    project: Project, server: str, opened: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noisy = "#!/bin/sh\necho xdg-open: no browser | tee /dev/stderr\nexit 3\n"
    (opened.parent / "bin/xdg-open").write_text(noisy)
    project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{server}'}}")
    done = kedro_here(project, "ui")
    assert "xdg-open" not in "".join(capfd.readouterr())
    assert done.returncode == 0
    assert f"The runs are at {server}" in done.stdout
    assert "No browser can be opened here" in done.stderr


def test_pages_of_a_store_are_quiet_and_shown_once_and_end_with_ctrl_c(
    project: Project, opened: Path, request: pytest.FixtureRequest
) -> None:
    artifacts = (project.path / "mlruns/1").as_uri()
    id_ = project.client.create_experiment("tracked", artifacts)
    run_id = project.client.create_run(id_).info.run_id
    port = free_port()
    command = [Path(sys.executable).parent / "kedro", "mlflow", "open"]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    request.addfinalizer(server.terminate)
    wait_until(lambda: opened.exists() or server.poll() is not None, 90)
    assert server.poll() is None, server.communicate()
    wait_until(lambda: bool(opened.read_text()))
    address = f"http://localhost:{port}/#/experiments/{id_}/runs/{run_id}"
    assert opened.read_text().strip() == address
    opened.unlink()
    done = kedro_here(project, "open", "--port", str(port))
    assert (done.returncode, done.stdout) == (0, f"The runs are at {address}\n")
    wait_until(opened.exists)
    shutil.copytree(project.path / "mlruns", project.path.parent / "other/mlruns")
    moved = f"sqlite:///{project.path.parent.as_posix()}/other/mlruns/mlflow.db"
    project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{moved}'}}")
    done = kedro_here(project, "open", "--port", str(port))
    assert f"Port {port} on localhost is taken" in done.stderr
    server.send_signal(signal.SIGINT)
    printed, errors = server.communicate(timeout=30)
    assert server.returncode == 0
    assert printed == f"The runs are at {address} (Ctrl-C ends it)\n"
    assert "uvicorn" not in errors


def test_check_creates_nothing(project: Project) -> None:
    project.write("conf/local/mlflow.yml", "server: {mlflow_tracking_uri: other}")
    assert kedro_here(project, "check").returncode == 0
    assert not (project.path / "other").exists()


def test_ui_takes_the_first_free_port_from_5000() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("localhost", ui.free_port("localhost")))
        taken.listen()
        occupied = taken.getsockname()[1]
        assert occupied >= 5000
        assert ui.free_port("localhost") > occupied


def test_ui_says_that_a_port_is_taken(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = kedro_here(project, "ui", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} on localhost is taken" in done.stderr


def test_server_that_dies_shows_its_lines_and_its_code(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho the last words; exit 3\n")
    dying.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dying))
    before = signal.getsignal(signal.SIGINT)
    done = kedro_here(project, "ui")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the last words" in done.stderr
    assert signal.getsignal(signal.SIGINT) is before


def test_ui_of_a_database_that_is_away_is_a_sentence(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: 'mssql://127.0.0.1:9/no'}")
    done = kedro_here(project, "ui")
    assert done.returncode == 1
    assert "mssql://127.0.0.1:9/no does not answer: nothing listens" in done.stderr
