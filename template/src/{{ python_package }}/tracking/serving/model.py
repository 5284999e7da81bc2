"""A pipeline as a model: what runs where it is served."""

import hashlib
import json
import logging
import os
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import TrackingError
from .forms import as_form, for_mlflow

PACKAGE = __name__.partition(".")[0]
WRITTEN = ("name", "input", "output", "params", "form")
_INSTALLED = "KEDRO_MLFLOW_INSTALLED_CODE"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A node: its name, its function, and its inputs and outputs as Kedro takes them."""

    name: str
    function: Callable[..., Any]
    inputs: str | list[str] | dict[str, str] | None
    outputs: str | list[str] | dict[str, str] | None

    def run(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by their names."""
        if isinstance(self.inputs, dict):
            found = self.function(**{k: given[v] for k, v in self.inputs.items()})
        else:
            found = self.function(*(given[name] for name in names(self.inputs)))
        if isinstance(self.outputs, str):
            return {self.outputs: found}
        if isinstance(self.outputs, dict):
            return {name: found[key] for key, name in self.outputs.items()}
        return dict(zip(self.outputs, found, strict=True)) if self.outputs else {}


@dataclass(frozen=True)
class PipelineModel:
    """A pipeline with all that it needs but the data of a request.

    Several threads may use it at once: requests share only the artifacts, which no node
    may change in place.

    Attributes:
        name: of the pipeline.
        steps: its nodes, in their order.
        input: the dataset that a request brings.
        output: the dataset that is the answer.
        params: default values of its parameters, by name.
        artifacts: what else it needs of the training run, by name.
        form: of ``input``, see ``form_of``.
        hooks: of pluggy, which calls them around each node of a request; None for none.
    """

    name: str
    steps: list[Step]
    input: str
    output: str
    params: dict[str, Any]
    artifacts: dict[str, Any]
    form: str
    hooks: Any = field(default=None, kw_only=True)

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Answer a request.

        Args:
            data: what the first nodes get as ``input``.
            params: values for this request, instead of the defaults.

        Raises:
            TrackingError: a node failed; the message names it, and shows no data.
        """
        formed = as_form(self.form, data)
        steps = self._steps(formed, params, is_callers=formed is data)
        for step, given, rest in steps:
            try:
                rest.update(self._outputs(step, given))
            except Exception as error:
                message = f"{self.name}: the node '{step.name}' raised {_where(error)}"
                raise TrackingError(message) from None
        return for_mlflow(rest[self.output])

    def run(self, data: Any) -> Any:
        """Answer with the default parameters; a failing node's own exception is raised."""
        for step, given, rest in self._steps(data, None, is_callers=True):
            rest.update(step.run(given))
        return rest[self.output]

    def _outputs(self, step: Step, given: dict[str, Any]) -> dict[str, Any]:
        if self.hooks is None:
            return step.run(given)
        from .hooks import run_with_hooks

        return run_with_hooks(step, given, self.hooks)

    def _steps(self, data: Any, params: dict[str, Any] | None, is_callers: bool) -> Any:
        """Yield each node, its inputs, and where its outputs go.

        As in Kedro, a node cannot change what another one or the caller has.
        """
        defaults = {**self.params, **(params or {})}
        values = {f"params:{name}": value for name, value in defaults.items()}
        values = {**self.artifacts, **values, self.input: data}
        left = Counter(name for step in self.steps for name in set(names(step.inputs)))
        left.update(values.keys() - self.artifacts.keys() - {self.input})
        left[self.input] += is_callers
        for step in self.steps:
            wanted = set(names(step.inputs))
            left.subtract(wanted)
            given = {name: values[name] for name in wanted}
            for name in wanted - self.artifacts.keys():
                if left[name]:
                    given[name] = deepcopy(given[name])
            yield step, given, values


def names(datasets: str | list[str] | dict[str, str] | None) -> list[str]:
    """Return the names of a node's inputs or outputs as a list."""
    if isinstance(datasets, str):
        return [datasets]
    return list(datasets.values() if isinstance(datasets, dict) else datasets or ())


def _where(error: Exception) -> str:
    """Return the kind of an error and its line in the package, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if PACKAGE in Path(frame.filename).parts]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"


def code_version(folder: Path) -> str:
    """Return a checksum of a package's Python files."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def home() -> Path:
    """Return the folder of the package that this process has imported."""
    return Path(str(import_module(PACKAGE).__file__)).parent


def _load_pyfunc(path: str) -> PipelineModel:
    """Load a model as ``mlflow.pyfunc`` does, which has put its code on ``sys.path``.

    Raises:
        TrackingError: another version of the package is imported in this process.
    """
    folder = Path(path)
    content = json.loads((folder / "pipeline.json").read_text("utf-8"))
    _refuse_other_code(content["code"])
    steps = [
        Step(**{**step, "function": function(step["function"])})
        for step in content.pop("steps")
    ]
    artifacts = {k: _load(k, v, folder) for k, v in content["artifacts"].items()}
    hooks = None
    if named := content.get("hooks"):
        from .hooks import hook_manager

        hooks = hook_manager(function(each)() for each in named)
    written = {key: content[key] for key in WRITTEN}
    return PipelineModel(steps=steps, artifacts=artifacts, hooks=hooks, **written)


def function(path: str) -> Any:
    """Return a function or class by ``module:name``."""
    module, _, name = path.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _load(name: str, artifact: dict[str, Any], folder: Path) -> Any:
    file = str(folder / artifact["path"])
    if flavor := artifact.get("flavor"):
        return import_module(flavor).load_model(file, **artifact["load_args"])
    from kedro.io import AbstractDataset

    config = artifact["dataset"]
    key = "path" if "path" in config else "filepath"
    return AbstractDataset.from_config(name, {**config, key: file}).load()


def _refuse_other_code(version: str) -> None:
    if code_version(home()) == version:
        return
    message = (
        f"The model was saved with another version of the package {PACKAGE} than "
        f"this process has imported from {home()}"
    )
    if os.environ.get(_INSTALLED, "").lower() not in ("true", "1"):
        raise TrackingError(
            f"{message}. Load it in a process of its own, such as 'mlflow models serve' or "
            f"'kedro mlflow predict', which run the model's own code; or set {_INSTALLED}="
            "true to run the imported code."
        )
    _logger.warning("%s; %s lets it run the imported code.", message, _INSTALLED)
