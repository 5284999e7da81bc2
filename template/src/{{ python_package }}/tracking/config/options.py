"""The keys of ``mlflow.yml`` and their defaults."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..redaction import HIDDEN, SECRET_NAMES, hide


class _Section(BaseModel):
    model_config = ConfigDict(
        coerce_numbers_to_str=True,  # a run may be called 2024
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_assignment=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, Mapping):
            given = value.items()
            return {
                k: v for k, v in given if v is not None or k not in cls.model_fields
            }
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, hide("", value, SECRET_NAMES)


class RequestHeaderProviderOptions(_Section):
    """A class that puts headers, such as a token, on each request to the server."""

    type: str | None = Field(
        default=None,
        examples=["penguin_classifier.tracking.OAuth2ClientCredentialsProvider"],
    )
    """Import path of a subclass of MLflow's RequestHeaderProvider.

    Null: no headers are added."""

    pass_context: bool = False
    """Whether the class also gets the Kedro context, as kedro_context."""

    init_kwargs: dict[str, Any] = Field(
        default={}, examples=[{"issuer": "https://login.example.com"}]
    )
    """Keyword arguments for the class."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            hidden = isinstance(value, dict)  # a keyword argument may be a secret
            yield name, dict.fromkeys(value, HIDDEN) if hidden else value


class ServerOptions(_Section):
    """The MLflow server, and how to reach it."""

    mlflow_tracking_uri: str | None = Field(
        default=None, examples=["https://mlflow.example.com", "sqlite:///runs.db"]
    )
    """Where runs go: a server's address, a database, or a folder of this project.
    Null: the variable MLFLOW_TRACKING_URI, or else the local store in mlruns/."""

    mlflow_registry_uri: str | None = Field(default=None, examples=["databricks-uc"])
    """Where registered models go. Null: to the tracking server."""

    workspace: str | None = Field(default=None, examples=["team-a"])
    """The workspace of the MLflow server. Null: the variable MLFLOW_WORKSPACE, or else
    the server's default one."""

    credentials: str | None = Field(default=None, examples=["mlflow"])
    """An entry of credentials.yml whose keys become environment variables during a run.

    Null: only the variables that are set already."""

    request_header_provider: RequestHeaderProviderOptions = (
        RequestHeaderProviderOptions()
    )
    """A class that puts headers, such as a token, on each request to the server."""

    offline: Literal["fallback", "never", "always"] = Field(
        default="fallback", examples=["never"]
    )
    """What to do when the server does not answer at the start of a run: record the run on
    this machine until 'kedro mlflow sync' (fallback), or raise an error (never). With
    always, no run asks for the server. The variable KEDRO_MLFLOW_OFFLINE has precedence."""

    outbox_limit: float = Field(default=20, gt=0, examples=[100])
    """How many gigabytes of files may wait on this machine for the server.

    A warning comes before. At the limit, nodes wait until the server has taken some; a
    file that finds no room while the server is away is an error at the end of the run."""


class DisableTrackingOptions(_Section):
    """Runs that are not logged to MLflow."""

    pipelines: list[str] = Field(
        default=[], examples=[["data_preparation", "reporting"]]
    )
    """Pipelines whose runs are not tracked.

    A run of several pipelines is tracked unless all of them are listed."""

    disable_autologging: bool = True
    """Whether autologging that is on before a run is turned off during the run.

    What a node turns on itself always works. False: all of it stays on."""


class CreateExperimentOptions(_Section):
    """Settings of a new experiment; an existing experiment is not changed."""

    artifact_location: str | None = Field(
        default=None, examples=["s3://penguins/artifacts"]
    )
    """Folder or URI for its artifacts. Null: the server decides."""

    tags: dict[str, str] | None = Field(default=None, examples=[{"team": "antarctica"}])
    """Its tags."""


class ExperimentOptions(_Section):
    """The experiment that the runs belong to."""

    name: str | None = Field(default=None, examples=["penguins"])
    """Its name. Null: the name of the Python package."""

    create: bool = True
    """Whether it is created when it does not exist.

    False: that is an error."""

    create_experiment_kwargs: CreateExperimentOptions = CreateExperimentOptions()
    """Settings of a new experiment; an existing experiment is not changed."""

    restore_if_deleted: bool = True
    """Whether it is restored if it was deleted.

    False: that is an error."""


class RunOptions(_Section):
    """The run."""

    id: str | None = Field(default=None, examples=["${runtime_params:run_id, null}"])
    """The id of a run to continue. Null: every kedro run is a new one."""

    key: str | None = Field(default=None, examples=["${oc.env:CI_PIPELINE_ID, null}"])
    """A name that all tasks of one workflow share, such as the run id of an orchestrator.

    Each kedro run with a key is a task of the run that 'kedro mlflow start' has created,
    and 'kedro mlflow finish' ends. The variable KEDRO_MLFLOW_RUN_KEY has precedence."""

    parent: str | None = Field(
        default=None, examples=["${runtime_params:parent, null}"]
    )
    """The id or the key of a run whose child a new run becomes, for a sweep."""

    name: str | None = Field(default=None, examples=["${km.random_name:}"])
    """Its name. Null: the names of the pipelines, and for the default one a random name. A
    run with an id keeps its own."""

    nested: bool = True
    """Whether nodes may open nested runs.

    False: that is an error."""


class DictParamsOptions(_Section):
    """Parameters that are mappings."""

    flatten: bool = False
    """Whether each key becomes a separate parameter.

    classifier: {C: 1.0, max_iter: 200} becomes classifier.C and classifier.max_iter."""

    recursive: bool = True
    """Whether mappings inside of mappings are flattened, too."""

    sep: str = Field(default=".", examples=["_"])
    """Separator between the keys."""


class ParamsOptions(_Section):
    """How Kedro's parameters are logged to MLflow."""

    dict_params: DictParamsOptions = DictParamsOptions()
    """Parameters that are mappings."""

    long_params_strategy: Literal["fail", "truncate", "tag"] = Field(
        default="fail", examples=["tag"]
    )
    """What to do with a value that is too long for MLflow: raise an error (fail),
    cut it off (truncate), or log it as a tag of the run (tag)."""

    redact: list[str] = Field(
        default=list(SECRET_NAMES), examples=[["*password*", "*token*", "!pad_token"]]
    )
    """Names, with wildcards, whose values are never sent to MLflow.

    ``!`` makes an exception, and the last pattern that matches decides. Your own list
    replaces this one. Values that look secret, such as a login in an address, are
    hidden under any name."""


class RecordOptions(_Section):
    """What a run records of itself, besides what its nodes log."""

    inputs: bool = True
    """Whether the data that a pipeline loads from outside are datasets of the run."""

    digest: Literal["metadata", "content"] = Field(
        default="metadata", examples=["content"]
    )
    """How those data are told apart: by version, size and time of change (metadata), or
    by all of their bytes (content), which are read once more for it.

    Metadata means, in this order: the MD5 of a ``.dvc`` file beside them; the hash that
    git has of an unchanged file; the version of a Delta table; the ETag or version of a
    remote file; size and time of change."""

    metric_models: bool = True
    """Whether a metric of the catalog names the model and the data that it is about.

    The model is the one among those that the metric's node depends on. With several,
    the entry in the catalog names it, as ``model: classifier``."""

    signature: bool = True
    """Whether a model without a signature gets one, from the data that it was trained on."""

    input_example: bool = True
    """Whether such a model also gets five rows of those data as its input example.

    Set it to false where data must not be copied. A column with a secret's name, or a
    value that looks like a secret, prevents it, too."""

    patch: bool = True
    """Whether uncommitted changes of files that git tracks are an artifact of the run.

    Secrets in it are hidden."""

    lock: bool = True
    """Whether uv.lock, or else the list of installed packages, is an artifact of the run.

    Once for each content, and not at all where the commit has the same uv.lock."""

    description: bool = True
    """Whether the run's page describes it: its command, a picture of the pipeline, its
    slowest nodes, inputs and outputs."""

    timeline: bool = True
    """Whether a trace shows when each node ran, with names of datasets and no values."""

    console: bool = True
    """Whether the log of the run is an artifact, also if the run fails. Secrets in it are
    hidden."""

    max_bytes: int = Field(
        default=1_000_000, ge=1000, le=100_000_000, examples=[100_000]
    )
    """The most bytes of a patch, which is left out beyond it, and of a log, whose end is
    kept."""

    system_metrics: bool | None = Field(default=None, examples=[True])
    """Whether CPU, memory, disk and GPU are measured during the run, which needs psutil.
    Null: the variable MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING decides."""


class TrackingOptions(_Section):
    """What is tracked, and where."""

    disable_tracking: DisableTrackingOptions = DisableTrackingOptions()
    """Runs that are not logged to MLflow."""

    experiment: ExperimentOptions = ExperimentOptions()
    """The experiment that the runs belong to."""

    run: RunOptions = RunOptions()
    """The run."""

    params: ParamsOptions = ParamsOptions()
    """How Kedro's parameters are logged to MLflow."""

    record: RecordOptions = RecordOptions()
    """What a run records of itself, besides what its nodes log."""


class UiOptions(_Section):
    """Where 'kedro mlflow ui' listens."""

    port: int | None = Field(default=None, ge=1, le=65535, examples=[5001])
    """Its port. Null: the first free one from 5000 upwards."""

    host: str | None = Field(default=None, examples=["127.0.0.1"])
    """Its host. Null: localhost."""


class KedroMlflowConfig(_Section):
    """The whole of ``mlflow.yml``, each key with its default."""

    server: ServerOptions = ServerOptions()
    """The MLflow server, and how to reach it."""

    tracking: TrackingOptions = TrackingOptions()
    """What is tracked, and where."""

    ui: UiOptions = UiOptions()
    """Where 'kedro mlflow ui' listens."""

    def __repr__(self) -> str:
        """Return each key with its value as YAML, without secrets."""
        return yaml.safe_dump(_shown_section(self), sort_keys=False)

    __str__ = __repr__

    def __rich_console__(self, *_: Any) -> Iterator[str]:  # called in Kedro's notebooks
        yield repr(self)


def _shown_section(section: _Section) -> dict[str | None, Any]:
    return {
        name: _shown_section(value) if isinstance(value, _Section) else value
        for name, value in section.__repr_args__()
    }
