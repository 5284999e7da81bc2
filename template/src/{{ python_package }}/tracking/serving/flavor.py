"""``save_model``, ``log_model`` and ``load_model``, as MLflow's flavours have them."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .artifacts import pack
from .model import code_version, home, names
from .node import Example, path_of

PIPELINE = "kedro.pipeline"
"""The tag of a model with the name of its pipeline."""

_logger = logging.getLogger(__name__)


def save_model(
    model: Example, path: str, datasets: Mapping[str, Any] | None = None, **args: Any
) -> None:
    """Save a model to a folder; arguments as for ``log_model``."""
    from mlflow import pyfunc

    with _packed(model, datasets, args) as packed:
        pyfunc.save_model(path=path, **packed)


def log_model(
    model: Example,
    name: str,
    datasets: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    is_trained: bool = True,
    **args: Any,
) -> Any:
    """Log a model to a run.

    Args:
        model: what the node of ``pipeline_model`` returns.
        name: the model's name.
        datasets: where its artifacts are, by name.
        run_id: the run; None for the active one.
        is_trained: whether the run has made one of its artifacts.
        args: arguments for ``mlflow.pyfunc.log_model``.

    Returns:
        MLflow's ModelInfo; None if nothing of it has been trained by the run.
    """
    if not is_trained:
        _logger.info("Not logging %s again: this run has trained nothing of it", name)
        return None
    from mlflow import pyfunc
    from mlflow.models import Model

    text = _described(model)
    tags = {PIPELINE: model.name, "mlflow.note.content": text, **args.pop("tags", {})}
    with _packed(model, datasets, args) as packed:
        return Model.log(None, pyfunc, name=name, run_id=run_id, tags=tags, **packed)


def load_model(uri: str, **load_args: Any) -> Any:
    """Load a model as ``mlflow.pyfunc.load_model`` does."""
    from mlflow import pyfunc

    return pyfunc.load_model(uri, **load_args)


@contextmanager
def _packed(
    model: Example, datasets: Mapping[str, Any] | None, args: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield arguments for ``mlflow.pyfunc``; the files that they name exist until then."""
    with TemporaryDirectory(prefix="kedro-mlflow-") as temporary:
        folder = Path(temporary, "pipeline")
        artifacts = {
            name: pack(name, (datasets or {})[name], folder) for name in model.artifacts
        }
        content = {
            **{
                key: getattr(model, key)
                for key in ("name", "input", "output", "params")
            },
            "code": code_version(home()),
            "steps": [
                {**vars(s), "function": path_of(s.function)} for s in model.steps
            ],
            "artifacts": artifacts,
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
    """Return the signature; all columns are required, as the pipeline needs them."""
    from mlflow.models import infer_signature
    from mlflow.types.schema import ColSpec, Schema

    signature = infer_signature(model.data, model.answer, params or None)
    if signature.inputs.has_input_names() and not signature.inputs.is_tensor_spec():
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
