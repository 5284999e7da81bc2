"""MLflow in the cells of a notebook: the server and experiment of its environment."""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .run.kedro_run import fail_left_runs
from .server.process_environment import (
    loaded_mlflow,
    register_session,
    unregister_session,
)

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

    from .server.connection import Connection

_logger = logging.getLogger(__name__)

# On IPython's shell: '%reload_kedro' imports this module anew, and the shell stays.
_ATTRIBUTE = "kedro_mlflow_notebook"
_NOWHERE = "-1"  # the id of no experiment


class Notebook:
    """Lends a notebook the server of its environment, from ``import mlflow`` on.

    Whoever does not import MLflow, in a cell or in what a cell calls, pays nothing.
    While a Kedro run is under way that has a server of its own, the notebook's is taken
    back, so that the run finds the process as a command line would.

    It is also what MLflow asks for the experiment of a run that a cell opens: it has the
    methods of MLflow's ``DefaultExperimentProvider``.

    Args:
        context: of the notebook's session.
    """

    def __init__(self, context: "KedroContext") -> None:
        self._context = context
        self._server: Connection | None = None
        self._runs = 0
        self._lock = threading.RLock()
        self._import = _Import("mlflow", before=self.lend, after=self.log_in)

    def is_connected_to(self, context: "KedroContext") -> bool:
        """Whether the server that stands now is the one that a context names."""
        return self._server is not None and _place(self._context) == _place(context)

    def begin(self) -> None:
        """Set MLflow up, if it is there and no Kedro run is under way.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed.
        """
        if "mlflow" in sys.modules:
            self.lend()
            self.log_in()

    def lend(self) -> None:
        """Let the variables of the server stand, credentials included.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed.
        """
        from .run.untracked import is_disabled
        from .server.connection import Connection

        with self._lock:
            if not (self._server or self._runs or is_disabled()):
                options = self._context.mlflow.server  # type: ignore[attr-defined]
                self._server = Connection(options, self._context)
                self._server.export()

    def log_in(self) -> None:
        """Tell MLflow the login and whom to ask for the experiment.

        A login that cannot be made is said in the log: an exception in the middle of
        ``import mlflow`` would leave half of it.
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
        """Leave the process as it was found."""
        with self._lock:
            if self._server:
                if self in (providers := _experiment_providers()):
                    providers.remove(self)
                self._server.close()
                self._server = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Take the server back for the length of a Kedro run."""
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
        """Whether MLflow should ask for the experiment, as it should."""
        return True

    def get_experiment_id(self) -> str:
        """Give the id of the experiment, found, created or restored.

        MLflow makes a warning of an exception here and takes its default experiment. So
        a refusal is said in the log, and the id is one that no server has.
        """
        from mlflow import MlflowClient

        from .errors import TrackingError
        from .run.experiment import experiment_id

        assert self._server  # noqa: S101  # or MLflow does not know of this
        options = self._context.mlflow.tracking.experiment  # type: ignore[attr-defined]
        root = self._server.artifact_root
        try:
            with self._server.translate_errors():
                return experiment_id(MlflowClient(), options, self._context, root)
        except TrackingError as refusal:
            _logger.error("%s", refusal.message)
            return _NOWHERE

    def open(self, shell: Any) -> None:
        """Take the place of the shell's earlier notebook.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed; the
                earlier notebook stays.
        """
        mlflow = loaded_mlflow()
        earlier: Notebook | None = getattr(shell, _ATTRIBUTE, None)
        if earlier:
            if mlflow:
                self.lend()
                self.end()
            earlier.close(shell, successor=self)
        elif _belongs_to_others():
            return
        setattr(shell, _ATTRIBUTE, self)
        register_session(self)
        shell.events.register("post_run_cell", self._after_cell)
        sys.meta_path.insert(0, self._import)
        self.begin()
        # An earlier mlflow.set_tracking_uri beats the variable.
        if mlflow and self._server and mlflow.get_tracking_uri() != self._server.uri:
            mlflow.set_tracking_uri(self._server.uri)

    def close(self, shell: Any, successor: "Notebook") -> None:
        """Make room; a run that cells have left open ends when its server changes."""
        mlflow = loaded_mlflow()
        if mlflow and self._server and not self.is_connected_to(successor._context):
            while mlflow.active_run():
                mlflow.end_run()
        shell.events.unregister("post_run_cell", self._after_cell)
        sys.meta_path.remove(self._import)
        unregister_session(self)
        self.end()

    def _after_cell(self, _: object) -> None:
        fail_left_runs()


class _Import(MetaPathFinder):
    """Calls back when a module is imported, by whomever.

    Args:
        name: of the module.
        before: called before its code runs; an exception keeps it out of the process.
        after: called when it is there; must not raise.
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
    """Whether ``%load_ext kedro.ipython`` or ``%reload_kedro`` is at work."""
    stack = traceback.walk_stack(None)
    return any(f.f_globals.get("__name__") == "kedro.ipython" for f, _ in stack)


def activate(context: "KedroContext") -> None:
    """Let cells log where the runs of a context go, from now on.

    Raises:
        TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed.
    """
    from IPython import get_ipython

    Notebook(context).open(get_ipython())


def _place(context: "KedroContext") -> tuple[Any, ...]:
    from .config.loading import environment

    options = context.mlflow.server  # type: ignore[attr-defined]
    env = environment(context.config_loader)
    return context.project_path, env, options.model_dump()


def _belongs_to_others() -> bool:
    """Whether an orchestrator or a cell has a run already, whose server is in use."""
    mlflow = loaded_mlflow()
    return "MLFLOW_RUN_ID" in os.environ or bool(mlflow and mlflow.active_run())


def _experiment_providers() -> list[Any]:
    """MLflow's list of those it asks: private, seen in 3.10 to 3.17, guarded by a test."""
    from mlflow.tracking.default_experiment import registry

    return registry._default_experiment_provider_registry._registry
