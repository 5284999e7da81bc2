"""``save_model``, ``log_model`` and ``load_model``, as MLflow's flavours have them."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .model import WRITTEN, _load_pyfunc, code_version, home, names
from .node import Example, path_of

PIPELINE = "kedro.pipeline"
"""The tag of a model with the name of its pipeline."""

_FOLDER = "pipeline"
_VALIDATE = "validate_serving_input"  # MLflow would only warn, and change sys.path
_logger = logging.getLogger(__name__)


def save_model(
    model: Example, path: str, datasets: Mapping[str, Any] | None = None, **args: Any
) -> None:
    """Save a model to a folder, load it from there and try it.

    Args:
        model: what the node of ``pipeline_model`` returns.
        path: the folder.
        datasets: where the model's artifacts are, by name.
        args: arguments for ``mlflow.pyfunc.save_model``.
    """
    from mlflow import pyfunc

    from .artifacts import OF_UV  # not where it is served, which needs no catalog

    args.pop(_VALIDATE, None)
    with _packed(model, datasets or {}, args) as packed:
        pyfunc.save_model(path=path, **packed)
    for name in OF_UV:
        Path(path, name).unlink(missing_ok=True)
    _load_pyfunc(str(Path(path, "data", _FOLDER))).predict(model.rows)


def log_model(
    model: Example,
    name: str,
    is_trained: bool = True,
    tags: Mapping[str, str] | None = None,
    **args: Any,
) -> Any:
    """Log a model to a run.

    Args:
        model: what the node of ``pipeline_model`` returns.
        name: the model's name.
        is_trained: whether the run has made one of its artifacts.
        tags: its tags.
        args: arguments for ``mlflow.models.Model.log`` and ``save_model``.

    Returns:
        MLflow's ModelInfo; None if nothing of it has been trained by the run.
    """
    if not is_trained:
        _logger.info("Not logging %s again: this run has trained nothing of it", name)
        return None
    from mlflow.models import Model

    own = {PIPELINE: model.name, "mlflow.note.content": _described(model)}
    args = {"name": name, "tags": {**own, **(tags or {})}, **args, _VALIDATE: False}
    return Model.log(None, import_module(__package__), model=model, **args)


def load_model(uri: str, **load_args: Any) -> Any:
    """Load a model as ``mlflow.pyfunc.load_model`` does."""
    from mlflow import pyfunc

    return pyfunc.load_model(uri, **load_args)


@contextmanager
def _packed(
    model: Example, datasets: Mapping[str, Any], args: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield arguments for ``mlflow.pyfunc``; the files that they name exist until then."""
    from .artifacts import pack

    with TemporaryDirectory(prefix="kedro-mlflow-") as temporary:
        folder = Path(temporary, _FOLDER)
        artifacts = {
            name: pack(name, datasets[name], folder) for name in model.artifacts
        }
        content = {
            **{key: getattr(model, key) for key in WRITTEN},
            "code": code_version(home()),
            "steps": [
                {**vars(s), "function": path_of(s.function)} for s in model.steps
            ],
            "artifacts": artifacts,
            "hooks": [path_of(each) for each in model.hook_types],
        }
        folder.mkdir(exist_ok=True)
        (folder / "pipeline.json").write_text(json.dumps(content, indent=2), "utf-8")
        (folder / "pipeline.md").write_text(_described(model), "utf-8")
        params = _overridable(model.params)
        yield {
            "loader_module": __package__,
            "data_path": str(folder),
            "signature": _signature(model, params),
            "input_example": (model.rows, params) if params else model.rows,
            **args,
            "code_paths": [str(home()), *args.get("code_paths", [])],
        }


def _signature(model: Example, params: dict[str, Any]) -> Any:
    """Return the signature; the columns of a table are required, as the pipeline needs them."""
    from mlflow.models import infer_signature
    from mlflow.types.schema import ColSpec, Schema

    signature = infer_signature(model.data, model.answer, params or None)
    if signature.inputs.has_input_names() and hasattr(model.data, "columns"):
        columns = signature.inputs.inputs
        signature.inputs = Schema([ColSpec(c.type, c.name) for c in columns])
    return signature


def _overridable(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that MLflow's signatures can describe."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import infer_signature

    found = {}
    for name, value in params.items():
        with suppress(MlflowException):
            infer_signature(params={name: value})
            found[name] = value
    return found


def _described(model: Example) -> str:
    """Return the pipeline as a diagram that Markdown shows."""
    lines = ["```mermaid", "flowchart TD"]
    for number, step in enumerate(model.steps):
        lines.append(f'  n{number}(["{step.name}"])')
        lines += [f"  {_id(name)} --> n{number}" for name in names(step.inputs)]
        lines += [f"  n{number} --> {_id(name)}" for name in names(step.outputs)]
    return "\n".join([f"The pipeline {model.name}:", "", *lines, "```", ""])


def _id(name: str) -> str:
    """Return a dataset as Mermaid takes it, by an id without special characters."""
    return f'{re.sub(r"[^0-9A-Za-z]", "_", name)}["{name}"]'
