"""The penguin pipeline: clean, split, train, evaluate."""

from kedro.pipeline import Pipeline, node

from ..inference.nodes import clean
from .nodes import evaluate, split, train


def create_pipeline(**_: object) -> Pipeline:
    """Return the pipeline from the raw table to a judged model."""
    return Pipeline(
        [
            node(clean, "penguins", "clean_penguins", name="clean"),
            node(
                split,
                ["clean_penguins", "params:split"],
                ["x_train", "x_test", "y_train", "y_test"],
                name="split",
            ),
            node(
                train,
                ["x_train", "y_train", "params:classifier"],
                "classifier",
                name="train",
            ),
            node(
                evaluate,
                ["classifier", "x_test", "y_test"],
                [
                    "accuracy",
                    "f1_adelie",
                    "f1_chinstrap",
                    "f1_gentoo",
                    "confusion_matrix",
                ],
                name="evaluate",
            ),
        ]
    )
