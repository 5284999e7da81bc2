"""``mlflow.yml``: defaults, and one sentence for each mistake."""

from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.pipeline import Pipeline, node
from tracking.config.loading import load_config, unread_params
from tracking.config.options import KedroMlflowConfig
from tracking.errors import TrackingError

from tests.tracking.conftest import Project


def load(tmp_path: Path, base: str, local: str = "") -> KedroMlflowConfig:
    for env, text in {"base": base, "local": local}.items():
        (tmp_path / "conf" / env).mkdir(parents=True)
        if text:
            (tmp_path / "conf" / env / "mlflow.yml").write_text(text)
    loader = OmegaConfigLoader(
        str(tmp_path / "conf"),
        base_env="base",
        default_run_env="local",
        merge_strategy={"mlflow": "soft"},
    )
    return load_config(loader)


def test_missing_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == KedroMlflowConfig()


def test_null_sections_are_defaults(tmp_path: Path) -> None:
    text = "server:\ntracking:\n  run:\n  disable_tracking:\n    pipelines:\nui:\n"
    assert load(tmp_path, text) == KedroMlflowConfig()


def test_environment_keeps_the_other_keys_of_base(tmp_path: Path) -> None:
    base = "tracking: {run: {name: a}, experiment: {name: b}}"
    config = load(tmp_path, base, "tracking: {run: {name: c}}")
    assert config.tracking.run.name == "c"
    assert config.tracking.experiment.name == "b"


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(TrackingError) as error:
        load(
            tmp_path,
            "tracking: {experiment: {nme: x}, params: {long_params_strategy: cut}}",
            "ui: {port: many}\nservr: {}\n",
        )
    sentences = str(error.value).splitlines()
    assert len(sentences) == 4
    text = str(error.value)
    assert (
        "conf/base/mlflow.yml: tracking.experiment.nme is not a key of mlflow.yml "
        "(did you mean 'name'?)."
    ) in text
    assert "conf/local/mlflow.yml: servr is not a key" in text
    assert "did you mean 'server'?" in text
    assert "conf/base/mlflow.yml: tracking.params.long_params_strategy should" in text
    assert "found 'cut'" in text
    assert "conf/local/mlflow.yml: ui.port should be a whole number" in text


@pytest.mark.parametrize("port", ["5000", '"5000"'])
def test_port_may_be_a_number_or_text(tmp_path: Path, port: str) -> None:
    assert load(tmp_path, f"ui: {{port: {port}}}").ui.port == 5000


def test_misspelt_key_is_found_even_with_a_null(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="did you mean 'mlflow_tracking_uri'"):
        load(tmp_path, "server: {mlflow_traking_uri: null}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("server:\n  a: 1\n b: 2\n", "base/mlflow.yml, line 3 is no valid YAML"),
        (
            "ui: {host: '${oc.env:NO_SUCH_VARIABLE}'}",
            "mlflow.yml: ui.host cannot be resolved.*NO_SUCH_VARIABLE",
        ),
    ],
)
def test_file_that_cannot_be_read_is_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(TrackingError, match=sentence):
        load(tmp_path, text)


def test_resolver_without_its_colon_is_told_of_it(tmp_path: Path) -> None:
    sentence = r"base/mlflow.yml: tracking.run.name .* colon: \$\{km.random_name:\}"
    with pytest.raises(TrackingError, match=sentence):
        load(tmp_path, 'tracking: {run: {name: "${km.random_name}"}}')


def test_resolver_that_is_not_there_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="did you mean 'km.random_name'"):
        load(tmp_path, 'tracking: {run: {name: "${km.random_nam:}"}}')


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "ui: {}\nui: {}\n",
            "local/mlflow.yml, line 2 is no valid YAML.*duplicate key",
        ),
        ("ui:\n\tport: 1\n", "local/mlflow.yml, line 2 is no valid YAML"),
        ("tracking: penguins", "tracking should be a mapping, found 'penguins'"),
        ("tracking: {run: {nested: 12}}", "nested should be true or false, found 12"),
        ("ui: {port: x}", "ui.port should be a whole number, found 'x'"),
        ("tracking: {run: {name: [1]}}", "run.name should be text"),
        ("tracking: {disable_tracking: {pipelines: a}}", "should be a list, found 'a'"),
    ],
)
def test_mistake_is_a_sentence_in_words_of_yaml(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(TrackingError, match=sentence):
        load(tmp_path, "ui: {}", text)


def test_shown_in_a_cell_it_is_mlflow_yml_without_secrets(tmp_path: Path) -> None:
    provider = "{type: a.B, init_kwargs: {secret: s3cret, issuer: s3cret}}"
    uri = "postgresql://me:s3cret@db/mlflow"
    text = (
        f"server: {{mlflow_tracking_uri: '{uri}', mlflow_registry_uri: '{uri}', "
        f"request_header_provider: {provider}}}\n"
    )
    config = load(tmp_path, text)
    sections = (config, config.server, config.server.request_header_provider)
    for shown in (*map(repr, sections), *map(str, sections)):
        assert "s3cret" not in shown
        assert "issuer" in shown
    server = yaml.safe_load(repr(config))["server"]
    assert server["mlflow_tracking_uri"] == "postgresql://me:***@db/mlflow"
    assert config.server.mlflow_tracking_uri == uri


def takes(*inputs: str) -> Pipeline:
    return Pipeline([node(lambda *_: None, list(inputs), None, name="n")])


@pytest.mark.parametrize(
    ("mlflow_yml", "parameters", "pipeline", "unread"),
    [
        ("{}", "a: 1", takes("params:a"), ["run_id", "mlflow_run_name"]),
        (
            'tracking: {run: {id: "${runtime_params:run_id, null}"}}',
            "a: 1",
            takes("params:a"),
            ["mlflow_run_name"],
        ),
        ("{}", "a: 1\nrun_id: null", takes("params:a"), ["mlflow_run_name"]),
        ("{}", "a: 1", takes("params:a", "params:run_id"), ["mlflow_run_name"]),
        ("{}", "a: 1", takes("parameters"), []),
    ],
)
def test_params_for_mlflow_that_nobody_reads_are_found(
    project: Project,
    mlflow_yml: str,
    parameters: str,
    pipeline: Pipeline,
    unread: list[str],
) -> None:
    project.mlflow_yml(mlflow_yml)
    project.write("conf/base/parameters.yml", parameters)
    given = {"run_id": "abc", "mlflow_run_name": "x", "a": 2, "not_for_mlflow": 1}
    with project.session(pipeline, runtime_params=given) as session:
        assert unread_params(session.load_context()) == unread


def test_params_that_the_catalog_reads_are_not_unread(project: Project) -> None:
    report = {
        "type": "tracked.tracking.MlflowMetricDataset",
        "run_id": "${runtime_params:run_id, null}",
    }
    project.write("conf/base/catalog.yml", {"report": report})
    with project.session(takes("report"), runtime_params={"run_id": "abc"}) as session:
        assert unread_params(session.load_context()) == []
