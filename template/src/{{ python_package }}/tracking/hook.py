"""Kedro's hooks, mapped to the life cycle of a run; no logic and no state here."""

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from .run.kedro_run import enclosing_notes, fail_left_runs, open_run, run_of

if TYPE_CHECKING:  # every command of Kedro's imports this module
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


class MlflowHook:
    """Tracks every Kedro run as an MLflow run.

    One object serves all sessions of a process, so it has no state. A catalog knows its
    context and its run, and Kedro passes it to every hook and to every worker process.
    """

    @hook_impl
    def after_context_created(self, context: "KedroContext") -> None:
        from .config.loading import load_config
        from .config.project import refuse_empty_pipeline
        from .datasets.catalog_context import announce
        from .notebook import activate, is_loading

        context.mlflow = load_config(context.config_loader)  # type: ignore[attr-defined]
        refuse_empty_pipeline()
        announce(context)
        if is_loading():
            activate(context)

    @hook_impl(tryfirst=True)
    def after_catalog_created(
        self, catalog: "CatalogProtocol", save_version: str | None
    ) -> None:
        from .datasets.catalog_context import making_context, remember_context

        if save_version is not None:  # a run's, which before_pipeline_run prepares
            remember_context(catalog)
            return
        from .datasets import connect
        from .run.untracked import server_to_read

        context = making_context()
        connect(catalog, lambda: server_to_read(context))

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self,
        run_params: dict[str, Any],
        pipeline: "Pipeline",
        catalog: "CatalogProtocol",
    ) -> None:
        from .config.loading import mlflow_config
        from .datasets import bind, untrack
        from .datasets.catalog_context import context_of
        from .run.handle import attach_workers
        from .run.untracked import UntrackedRun, disabled_by, server_to_read

        fail_left_runs()
        context = context_of(catalog)
        options = mlflow_config(context).tracking
        if reason := disabled_by(options, run_params):
            untrack(pipeline, catalog, lambda: server_to_read(context))
            open_run(UntrackedRun(reason), catalog)
            attach_workers(catalog, None)
            return
        from .datasets.story import story
        from .run.lifecycle import TrackedRun
        from .run.parameters import pipeline_params
        from .serving.connect import connect, refuse_unservable

        refuse_unservable(pipeline, catalog)
        params = pipeline_params(pipeline, catalog, options.params)
        root = context.project_path
        told = story(pipeline, catalog, options.record, run_params, root)
        run = TrackedRun(context, run_params, params, told)
        open_run(run, catalog)
        bind(pipeline, catalog, run.handle)
        connect(pipeline, catalog, run.handle.is_new)
        attach_workers(catalog, run.handle)

    @hook_impl
    def before_dataset_loaded(self, node: "Node") -> None:
        if notes := enclosing_notes():
            notes.loading(node)

    @hook_impl
    def before_node_run(
        self, node: "Node", catalog: "CatalogProtocol", inputs: dict[str, Any]
    ) -> None:
        if run := run_of(catalog):
            from .datasets import trained_on

            run.attach()
            run.loaded(node, inputs)
            trained_on(node, catalog, inputs)

    @hook_impl(trylast=True)
    def after_node_run(self, node: "Node", catalog: "CatalogProtocol") -> None:
        if run := run_of(catalog):
            if run.nodes:
                run.nodes.ran(node)
            run.detach()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: "Node") -> None:
        if notes := enclosing_notes():
            notes.saved(node, dataset_name)

    @hook_impl(trylast=True)
    def on_node_error(
        self, error: Exception, node: "Node", catalog: "CatalogProtocol"
    ) -> None:
        if run := run_of(catalog):
            run.node_failed(node, error)
            run.detach()

    @hook_impl(trylast=True)
    def after_pipeline_run(self, catalog: "CatalogProtocol") -> None:
        if run := run_of(catalog):
            run.end("FINISHED")

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception, catalog: "CatalogProtocol") -> None:
        if run := run_of(catalog):
            run.fail(error)
