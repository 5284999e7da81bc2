"""An MLflow flavour: how models of one kind are written and read."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from kedro.io import DatasetError

from ...terminal.log_filters import without
from .requirements import with_requirements

_WORKFLOWS = ("python_model", "loader_module")
_OF_SKOPS = re.compile("skops_trusted_types|serialization_format")


class Flavor:
    """A module with ``load_model`` and ``save_model``, of MLflow or of a third party.

    Args:
        module: its name, for example ``mlflow.sklearn``; imported when it is used.
        pyfunc_workflow: for ``mlflow.pyfunc``, the argument that takes the model:
            ``python_model`` (also for None) or ``loader_module``.

    Raises:
        DatasetError: the workflow is unknown.
    """

    def __init__(self, module: str, pyfunc_workflow: str | None = None) -> None:
        if pyfunc_workflow not in (None, *_WORKFLOWS):
            raise DatasetError(
                "'pyfunc_workflow' is python_model or loader_module; found "
                f"'{pyfunc_workflow}'."
            )
        self.module = module
        self.pyfunc_workflow = pyfunc_workflow

    def save(self, model: Any, path: str, save_args: dict[str, Any]) -> None:
        """Write a model to a new folder.

        Raises:
            ValueError: skops does not take it.
        """
        with self._imported() as module:
            self._write(module.save_model, model, {**save_args, "path": path})

    def log(self, model: Any, name: str, save_args: dict[str, Any]) -> Any:
        """Log a model to the active run, under a name; returns MLflow's ModelInfo.

        Raises:
            ValueError: skops does not take it.
        """
        with self._imported() as module:
            known = inspect.signature(module.log_model).parameters
            key = "name" if "name" in known else "artifact_path"  # for MLflow 2
            names = ("name", "artifact_path")
            others = {k: v for k, v in save_args.items() if k not in names}
            return self._write(module.log_model, model, {**others, key: name})

    def load(self, uri: str, load_args: dict[str, Any]) -> Any:
        """Read a model from a folder or any URI that MLflow knows."""
        with self._imported() as module:
            return module.load_model(uri, **load_args)

    def _write(
        self, write: Callable[..., Any], model: Any, arguments: dict[str, Any]
    ) -> Any:
        from mlflow.exceptions import MlflowException

        arguments = with_requirements(arguments)
        # uv's environments have no pip; MLflow then requires pip without a version.
        with (
            without("mlflow.utils.environment", "Failed to resolve installed pip"),
            without("mlflow.utils.uv_utils", "Detected uv project"),
        ):
            try:
                if self.module == "mlflow.pyfunc":
                    workflow = self.pyfunc_workflow or "python_model"
                    return write(**{workflow: model}, **arguments)
                return write(model, **arguments)
            except MlflowException as error:
                if not (key := _OF_SKOPS.search(error.message)):
                    raise
                raise ValueError(
                    f"{error.message} In the catalog, {key[0]} is a key of save_args."
                ) from error

    @contextmanager
    def _imported(self) -> Iterator[Any]:
        try:
            yield import_module(self.module)
        except ImportError as error:  # also of the library behind it, on first use
            raise ImportError(
                f"the flavour '{self.module}' cannot be used: {error}"
            ) from error
