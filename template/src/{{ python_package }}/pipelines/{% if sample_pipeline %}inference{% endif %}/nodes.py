"""The steps from the measurements of penguins to their species."""

from typing import Any

import pandas as pd

FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def clean(penguins: pd.DataFrame) -> pd.DataFrame:
    """Drop the penguins that were not measured."""
    return penguins.dropna(subset=FEATURES).reset_index(drop=True)


def name_species(
    classifier: Any, penguins: pd.DataFrame, min_probability: float
) -> pd.DataFrame:
    """Name the species of each penguin, or "unknown" where the classifier is not sure."""
    chances = pd.DataFrame(
        classifier.predict_proba(penguins[FEATURES]), columns=classifier.classes_
    )
    probability = chances.max(axis="columns")
    species = chances.idxmax(axis="columns").where(
        probability >= min_probability, "unknown"
    )
    return pd.DataFrame({"species": species, "probability": probability})
