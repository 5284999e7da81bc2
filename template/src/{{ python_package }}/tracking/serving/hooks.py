"""Kedro's node hooks in a served pipeline, for the classes that its user has named."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks.markers import HOOK_NAMESPACE
from kedro.framework.hooks.specs import NodeSpecs
from kedro.io import AbstractDataset, DataCatalog, MemoryDataset
from kedro.pipeline import node
from pluggy import PluginManager

if TYPE_CHECKING:
    from .model import Step


def hook_manager(hooks: Iterable[Any]) -> PluginManager:
    """Return a manager that calls hooks before and after a node, and when it fails."""
    manager = PluginManager(HOOK_NAMESPACE)
    manager.add_hookspecs(NodeSpecs)
    for each in hooks:
        manager.register(each)
    return manager


def run_with_hooks(
    step: "Step", inputs: dict[str, Any], manager: PluginManager
) -> dict[str, Any]:
    """Return the outputs of a node by their names, as its hooks have seen them.

    Kedro's own ``Task`` would log the message of a node's error, which may show the data.
    """
    datasets: dict[str, AbstractDataset[Any, Any]] = {
        name: MemoryDataset(data, copy_mode="assign") for name, data in inputs.items()
    }
    about = {
        "node": node(step.function, step.inputs, step.outputs, name=step.name),
        "catalog": DataCatalog(datasets),
        "is_async": False,
        "run_id": "",
    }
    for changed in manager.hook.before_node_run(inputs=inputs, **about):
        inputs = {**inputs, **changed}
    try:
        outputs = step.run(inputs)
    except Exception as error:
        manager.hook.on_node_error(error=error, inputs=inputs, **about)
        raise
    manager.hook.after_node_run(inputs=inputs, outputs=outputs, **about)
    return outputs
