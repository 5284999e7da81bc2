"""Connect the cells of a notebook to the server and experiment of its environment."""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .run.kedro_run import fail_left_runs
from .server.process_environment import (
    loaded_mlflow,
    register_standing,
    unregister_standing,
)

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

    from .server.connection import Connection

_logger = logging.getLogger(__name__)

# On IPython's shell, which stays when '%reload_kedro' imports this module again.
_ATTRIBUTE = "kedro_mlflow_notebook"
_NOWHERE = "-1"  # the id of no experiment


class Notebook:
    """Connects a notebook to the server of its environment, when MLflow is imported.

    Until a cell, or what a cell calls, imports MLflow, nothing is set up. During a
    Kedro run, which connects to its own server, the notebook is disconnected, so that
    the run starts as it does on the command line.

    MLflow also asks this object for the experiment of a run that a cell opens: it has
    the methods of MLflow's ``DefaultExperimentProvider``.

    Args:
        context: of the notebook's session.
    """

    def __init__(self, context: "KedroContext") -> None:
        self._context = context
        self._server: Connection | None = None
        self._runs = 0
        self._lock = threading.RLock()
        self._import = _Import("mlflow", before=self.export, after=self.log_in)

    def is_connected_to(self, context: "KedroContext") -> bool:
        """Whether the notebook is connected to the server that a context names."""
        return self._server is not None and _place(self._context) == _place(context)

    def begin(self) -> None:
        """Connect, if MLflow is imported and no Kedro run is open.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` has an error.
        """
        if "mlflow" in sys.modules:
            self.export()
            self.log_in()

    def export(self) -> None:
        """Set the environment variables of the server, credentials included.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` has an error.
        """
        from .run.untracked import is_disabled
        from .server.connection import Connection

        with self._lock:
            if not (self._server or self._runs or is_disabled()):
                options = self._context.mlflow.server  # type: ignore[attr-defined]
                self._server = Connection(options, self._context)
                self._server.export()

    def log_in(self) -> None:
        """Register the login and the experiment provider with MLflow.

        Errors are only logged: an exception in the middle of ``import mlflow`` would
        leave MLflow half imported.
        """
        from .config.loading import environment
        from .errors import TrackingError
        from .server.local_store import create_local_store

        with self._lock:
            server = self._server
            if server is None or self in _experiment_providers():
                return
            _experiment_providers().insert(0, self)
            env = environment(self._context.config_loader)
            _logger.info("Cells log to %s, environment '%s'", server.safe_uri, env)
            try:
                server.log_in()
                if server.artifact_root:
                    create_local_store(server.uri, server.artifact_root)
            except TrackingError as error:
                _logger.error("%s", error.message)

    def end(self) -> None:
        """Restore the process as it was before."""
        with self._lock:
            if self._server:
                if self in (providers := _experiment_providers()):
                    providers.remove(self)
                self._server.close()
                self._server = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Disconnect during a Kedro run."""
        with self._lock:
            self._runs += 1
            self.end()
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                self.begin()

    def in_context(self) -> bool:
        """Return True: MLflow should ask this object for the experiment."""
        return True

    def get_experiment_id(self) -> str:
        """Return the id of the experiment, found, created or restored.

        MLflow would turn an exception into a warning and use its default experiment. So
        an error is logged, and the id is one that no server has.
        """
        from mlflow import MlflowClient

        from .errors import TrackingError
        from .run.experiment import experiment_id

        assert self._server  # noqa: S101  # MLflow asks only while it is set
        options = self._context.mlflow.tracking.experiment  # type: ignore[attr-defined]
        root = self._server.artifact_root
        try:
            with self._server.translate_errors():
                return experiment_id(MlflowClient(), options, self._context, root)
        except TrackingError as refusal:
            _logger.error("%s", refusal.message)
            return _NOWHERE

    def open(self, shell: Any) -> None:
        """Replace the shell's earlier notebook.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` has an error; the
                earlier notebook stays.
        """
        mlflow = loaded_mlflow()
        earlier: Notebook | None = getattr(shell, _ATTRIBUTE, None)
        if earlier:
            if mlflow:
                self.export()
                self.end()
            earlier.close(shell, successor=self)
        elif _belongs_to_others():
            return
        setattr(shell, _ATTRIBUTE, self)
        register_standing(self)
        shell.events.register("post_run_cell", self._after_cell)
        sys.meta_path.insert(0, self._import)
        self.begin()
        # An earlier mlflow.set_tracking_uri has precedence over the variable.
        if mlflow and self._server and mlflow.get_tracking_uri() != self._server.uri:
            mlflow.set_tracking_uri(self._server.uri)

    def close(self, shell: Any, successor: "Notebook") -> None:
        """Disconnect; if the server changes, end the runs that cells have left open."""
        mlflow = loaded_mlflow()
        if mlflow and self._server and not self.is_connected_to(successor._context):
            while mlflow.active_run():
                mlflow.end_run()
        shell.events.unregister("post_run_cell", self._after_cell)
        sys.meta_path.remove(self._import)
        unregister_standing(self)
        self.end()

    def _after_cell(self, _: object) -> None:
        fail_left_runs()


class _Import(MetaPathFinder):
    """Calls back when any code imports a module.

    Args:
        name: of the module.
        before: called before its code runs; an exception stops the import.
        after: called after its code has run; must not raise.
    """

    def __init__(
        self, name: str, before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self._name, self._before, self._after = name, before, after

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                self._before()
                execute(module)
                self._after()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def is_loading() -> bool:
    """Whether ``%load_ext kedro.ipython`` or ``%reload_kedro`` is running."""
    stack = traceback.walk_stack(None)
    return any(f.f_globals.get("__name__") == "kedro.ipython" for f, _ in stack)


def activate(context: "KedroContext") -> None:
    """Make cells log to the server and experiment of a context, from now on.

    Raises:
        TrackingError: ``mlflow.yml`` or ``credentials.yml`` has an error.
    """
    ipython = import_module("IPython")  # whose types differ between its versions
    Notebook(context).open(ipython.get_ipython())


def _place(context: "KedroContext") -> tuple[Any, ...]:
    from .config.loading import environment

    options = context.mlflow.server  # type: ignore[attr-defined]
    env = environment(context.config_loader)
    return context.project_path, env, options.model_dump()


def _belongs_to_others() -> bool:
    """Whether an orchestrator or a cell has opened a run, whose server is in use."""
    mlflow = loaded_mlflow()
    return "MLFLOW_RUN_ID" in os.environ or bool(mlflow and mlflow.active_run())


def _experiment_providers() -> list[Any]:
    """MLflow's list of providers: private, seen in 3.10 to 3.17, guarded by a test."""
    from mlflow.tracking.default_experiment import registry

    return registry._default_experiment_provider_registry._registry
