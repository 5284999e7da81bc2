"""The inference pipeline, and the node that makes a model of it."""

from kedro.pipeline import Pipeline, node

from ...tracking.serving import pipeline_model
from .nodes import clean, name_species


def create_pipeline(**_: object) -> Pipeline:
    """Return the pipeline of one node, which logs the inference pipeline as a model."""
    inference = Pipeline(
        [
            node(clean, "penguins", "clean_penguins", name="clean"),
            node(
                name_species,
                ["classifier", "clean_penguins", "params:min_probability"],
                "species",
                name="name_species",
            ),
        ]
    )
    return Pipeline(
        [
            pipeline_model(
                inference, "inference", input="penguins", output="penguin_model"
            )
        ]
    )
