"""A runner that gives each node to the workers of an engine, such as Dask or Ray."""

from abc import abstractmethod
from concurrent.futures import Executor, Future, wait
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from kedro.framework import project
from kedro.runner import AbstractRunner, Task

from .errors import TrackingError
from .run.handle import attach_no_workers
from .run.kedro_run import run_of

if TYPE_CHECKING:
    from kedro.io import AbstractDataset, CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node
    from pluggy import PluginManager


class ExecutorRunner(AbstractRunner):
    """Runs nodes in the workers of any ``concurrent.futures.Executor``.

    The engine decides where and when a node runs, and whether it is tried again. A
    worker has the same packages as this process, this project's included, and reaches
    the MLflow server and the data of the catalog.

    Example::

        from joblib.externals.loky import get_reusable_executor
        from <package>.tracking import ExecutorRunner

        class LokyRunner(ExecutorRunner):
            def executor(self):
                return get_reusable_executor()
    """

    @abstractmethod
    def executor(self) -> AbstractContextManager[Executor]:
        """Return the executor of the engine, as a context manager.

        An executor is one itself, which shuts itself down at the end of the run.
        """

    def _get_executor(self, max_workers: int) -> Executor:
        return _Workers(self.executor())

    def _run(
        self,
        pipeline: "Pipeline",
        catalog: "CatalogProtocol[Any, Any]",
        hook_manager: "PluginManager | None" = None,
        run_id: str | None = None,
    ) -> None:
        """Run a pipeline.

        Raises:
            TrackingError: outputs would stay in the memory of a worker.
        """
        outputs = sorted(pipeline.datasets() - pipeline.inputs())
        bound = [name for name in outputs if _stays_in_memory(catalog[name])]
        if bound:
            raise TrackingError(
                f"Workers share no memory, and {', '.join(bound)} would stay in that of "
                "one. Put them into the catalog, on storage that all workers reach."
            )
        attach_no_workers(catalog)  # a worker may outlive the run
        if handle := getattr(run_of(catalog), "handle", None):
            handle.outbox.flush()  # a worker elsewhere, which sends by itself, is no earlier
        super()._run(pipeline, catalog, hook_manager, run_id)


class _Workers(Executor):
    """The executor of an engine, for the tasks of Kedro's runner."""

    def __init__(self, executor: AbstractContextManager[Executor]) -> None:
        self._context = executor
        self._futures: list[Future[Any]] = []

    def __enter__(self) -> "_Workers":
        self._executor = self._context.__enter__()
        return self

    def submit(self, task: Task, /) -> "Future[Any]":  # type: ignore[override]
        task.hook_manager = None  # a worker makes its own
        future = self._executor.submit(_run_task, str(project.PACKAGE_NAME), task)
        self._futures.append(future)
        return future

    def __exit__(self, kind: type[BaseException] | None, *more: Any) -> None:
        """Wait for the nodes, as Kedro's own runners do; after Ctrl-C, for none."""
        if kind is None or issubclass(kind, Exception):
            wait(self._futures)
        else:
            for future in self._futures:
                future.cancel()
            self._executor.shutdown(wait=False)
        self._context.__exit__(kind, *more)


def _stays_in_memory(dataset: "AbstractDataset[Any, Any]") -> bool:
    return dataset._EPHEMERAL or getattr(dataset, "_SINGLE_PROCESS", False)


def _run_task(package: str, task: Task) -> "Node":
    """Run a node in a worker, whose process may serve other runs before and after it."""
    if project.PACKAGE_NAME != package:
        project.configure_project(package)
    # Not by task.parallel, which would configure Kedro's logging with itself.
    task.hook_manager = Task._run_node_synchronization()
    run = run_of(task.catalog)
    if run:
        run.attach()
    try:
        return task()
    finally:
        if run:
            run.detach()
