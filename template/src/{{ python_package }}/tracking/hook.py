"""Kedro's life cycle mapped to the tracked run; holds no logic of its own."""

import threading
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

if TYPE_CHECKING:  # every command of Kedro's imports this module
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

_TRACKED_RUN = "tracked_run"


class MlflowHook:
    """Makes an MLflow run of every Kedro run.

    The object serves all sessions of a process: a run's own state is carried by its
    catalog, which Kedro hands to every hook and to every worker process.
    """

    def __init__(self) -> None:
        self._thread = threading.local()  # a session loads its context in its thread

    @hook_impl
    def after_context_created(self, context: "KedroContext") -> None:
        from .config.loading import load_config
        from .notebook import activate, is_loading

        context.mlflow = load_config(context.config_loader)  # type: ignore[attr-defined]
        self._thread.context = context
        if is_loading():
            activate(context, self._end_left_run)

    @hook_impl
    def after_catalog_created(
        self, catalog: "CatalogProtocol", save_version: str | None
    ) -> None:
        if save_version is None:  # not a run's, which before_pipeline_run sees to
            from .datasets import connect
            from .run.untracked import server_to_read

            context = self._thread.context
            connect(catalog, lambda: server_to_read(context))

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self,
        run_params: dict[str, Any],
        pipeline: "Pipeline",
        catalog: "CatalogProtocol",
    ) -> None:
        from .datasets import bind, untrack
        from .run.lifecycle import TrackedRun, disabled_by

        context = self._thread.context
        self._end_left_run()
        if reason := disabled_by(context.mlflow, run_params):
            from .run.untracked import UntrackedRun, server_to_read

            untrack(pipeline, catalog, lambda: server_to_read(context))
            self._thread.run = UntrackedRun(reason)
            setattr(catalog, _TRACKED_RUN, self._thread.run)
            return
        from .run.parameters import pipeline_params

        params = pipeline_params(pipeline, catalog, context.mlflow.tracking.params)
        run = TrackedRun.start(context, run_params, params)
        setattr(catalog, _TRACKED_RUN, run)
        self._thread.run = run
        bind(pipeline, catalog, run.handle)

    @hook_impl
    def before_node_run(self, catalog: "CatalogProtocol") -> None:
        if run := _tracked_run(catalog):
            run.attach()

    @hook_impl(trylast=True)
    def after_node_run(self, catalog: "CatalogProtocol") -> None:
        if run := _tracked_run(catalog):
            run.detach()

    @hook_impl(trylast=True)
    def on_node_error(self, error: Exception, catalog: "CatalogProtocol") -> None:
        if run := _tracked_run(catalog):
            run.notice(error)
            run.detach()

    @hook_impl(trylast=True)
    def after_pipeline_run(self, catalog: "CatalogProtocol") -> None:
        if run := _tracked_run(catalog):
            run.end("FINISHED")

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception, catalog: "CatalogProtocol") -> None:
        if run := _tracked_run(catalog):
            run.fail(error)

    def _end_left_run(self) -> None:
        """End a run that Ctrl-C or a SystemExit has left: Kedro has no hook for those."""
        if run := getattr(self._thread, "run", None):
            run.fail()


def _tracked_run(catalog: "CatalogProtocol") -> Any:
    return getattr(catalog, _TRACKED_RUN, None)
