"""The node that makes a model of a pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kedro.pipeline import Node, Pipeline, node

from ..errors import TrackingError, did_you_mean
from ..redaction import SECRET_NAMES, is_secret_name
from .forms import for_mlflow, form_of
from .model import PipelineModel, Step, function

_ROWS = 5


@dataclass(frozen=True)
class Example(PipelineModel):
    """A model, and the real data that it was tried on.

    Attributes:
        data: all rows of the training run, with the columns that the pipeline needs.
        rows: the first of them.
        answer: what the pipeline makes of those.
        hook_types: the classes of the hooks that are called where it is served.
    """

    data: Any
    rows: Any
    answer: Any
    hook_types: Sequence[type]


@dataclass(frozen=True)
class Packing:
    """The function of the node: tries the pipeline, and returns it as a model."""

    name: str
    steps: list[Step]
    inputs: list[str]
    output: str
    columns: Sequence[str] | None
    hook_types: Sequence[type]
    __name__ = "pipeline_model"  # in Kedro's messages

    def __call__(self, data: Any, *others: Any) -> Example:
        if type(data).__name__ == "LazyFrame":
            raise TrackingError(
                f"pipeline_model '{self.name}': '{self.inputs[0]}' is a LazyFrame, which no "
                "request can bring. Let its type in the catalog be polars.EagerPolarsDataset."
            )
        given = dict(zip(self.inputs[1:], others, strict=True))
        artifacts = {k: v for k, v in given.items() if k in self.artifacts}
        params = {
            k.removeprefix("params:"): v for k, v in given.items() if k not in artifacts
        }
        names = (self.name, self.steps, self.inputs[0], self.output)
        model = PipelineModel(*names, params, artifacts, form_of(data))
        rows = _first(data)
        answer = model.run(rows)
        if hasattr(data, "columns"):
            columns = list(self.columns or _needed(model, rows, answer))
            data, rows = data[columns], rows[columns]
            answer = model.run(rows)
        shown = {"data": data, "rows": rows, "answer": answer}
        shown = {key: for_mlflow(value) for key, value in shown.items()}
        return Example(**vars(model), **shown, hook_types=self.hook_types)

    @property
    def code(self) -> list[tuple[str, Any]]:
        """The functions and classes that are called where it is served, and what they are."""
        of_nodes = [
            (f"the function of the node '{step.name}'", step.function)
            for step in self.steps
        ]
        return [*of_nodes, *(("a hook", each) for each in self.hook_types)]

    @property
    def artifacts(self) -> list[str]:
        """The datasets that go into the model."""
        return [name for name in self.inputs[1:] if not name.startswith("params:")]


def pipeline_model(
    pipeline: Pipeline,
    name: str,
    *,
    input: str,
    output: str,
    columns: Sequence[str] | None = None,
    hooks: Sequence[type] = (),
) -> Node:
    """Return a node that makes a model of an inference pipeline.

    Its other inputs, such as a classifier, and its parameters are inputs of the node, and
    so become part of the model. The output's entry in the catalog is a
    ``MlflowModelTrackingDataset`` with the flavour ``<package>.tracking.serving``.

    Args:
        pipeline: from the data of a request to the answer.
        name: of the node, and of the pipeline in the model.
        input: the dataset of the training run that has what a request will have.
        output: the model.
        columns: what a request has of a table. None: the columns without which the
            pipeline fails, or answers otherwise, on the first rows of ``input``.
        hooks: classes with Kedro's hooks ``before_node_run``, ``after_node_run`` and
            ``on_node_error``, which are called around each node of a request. An object
            of each is made when the model is loaded.

    Raises:
        TrackingError: the pipeline cannot be served: it does not need ``input``, has not
            one output, needs all parameters or a secret one, or a function of its nodes
            or a hook cannot be imported by its name.
    """
    title = f"pipeline_model '{name}'"
    free, outputs = sorted(pipeline.inputs()), sorted(pipeline.outputs())
    if input not in free:
        raise TrackingError(
            f"{title}: the pipeline has no free input '{input}'{did_you_mean(input, free)}; "
            f"its free inputs are: {', '.join(free) or 'none'}."
        )
    if len(outputs) != 1:
        raise TrackingError(
            f"{title}: the pipeline has one output, the answer; found "
            f"{', '.join(outputs) or 'none'}."
        )
    for parameter in free:
        is_secret = is_secret_name(parameter.partition("params:")[2], SECRET_NAMES)
        if parameter == "parameters" or is_secret:
            raise TrackingError(
                f"{title}: '{parameter}' would be stored in the model. Name the parameters "
                "that it needs, as params:<name>; a secret comes from the environment."
            )
    steps = [Step(n.name, n.func, n._inputs, n._outputs) for n in pipeline.nodes]
    inputs = [input, *(other for other in free if other != input)]
    packing = Packing(name, steps, inputs, outputs[0], columns, tuple(hooks))
    for what, thing in packing.code:
        _refuse_unnamed(thing, what, title)
    return node(packing, inputs, output, name=name)


def _refuse_unnamed(thing: Any, what: str, title: str) -> None:
    path = path_of(thing)
    try:
        found = function(path)
    except (ImportError, AttributeError):
        found = None
    if found is not thing or path.startswith("__main__"):
        raise TrackingError(
            f"{title}: {what} cannot be imported where the model is served. Define it by def "
            f"or class at the top of a module of the package; found {path}."
        )


def path_of(func: Any) -> str:
    """Return the ``module:name`` of a function or class."""
    return f"{getattr(func, '__module__', None)}:{getattr(func, '__qualname__', func)}"


def _first(data: Any) -> Any:
    if hasattr(data, "head"):
        return data.head(_ROWS)
    is_one = isinstance(data, dict | str) or not hasattr(data, "__getitem__")
    return data if is_one else data[:_ROWS]


def _needed(model: PipelineModel, rows: Any, answer: Any) -> list[str]:
    """Return the columns without which the answer is another one."""
    needed = list(rows.columns)
    for column in rows.columns:
        fewer = [other for other in needed if other != column]
        try:
            same = bool(fewer) and _equal(model.run(rows[fewer]), answer)
        except Exception:  # of the project's code
            same = False
        needed = fewer if same else needed
    return needed


def _equal(one: Any, other: Any) -> bool:
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    import numpy

    return bool(numpy.array_equal(one, other))
