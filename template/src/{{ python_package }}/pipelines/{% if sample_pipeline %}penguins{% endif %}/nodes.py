"""The steps of the penguin pipeline."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..inference.nodes import FEATURES

SPECIES = ["Adelie", "Chinstrap", "Gentoo"]


def split(
    penguins: pd.DataFrame, options: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """Split the penguins for training and testing, each species in its proportion.

    Args:
        penguins: one row for each penguin.
        options: ``test_size`` (a fraction) and ``random_state``.

    Returns:
        Measurements for training and testing, then species for training and testing.
    """
    x_train, x_test, y_train, y_test = train_test_split(
        penguins[FEATURES], penguins["species"], stratify=penguins["species"], **options
    )
    return x_train, x_test, y_train, y_test


def train(
    x_train: pd.DataFrame, y_train: pd.Series, options: dict[str, Any]
) -> Pipeline:
    """Train a logistic regression; ``options`` are its keyword arguments."""
    return make_pipeline(StandardScaler(), LogisticRegression(**options)).fit(
        x_train, y_train
    )


def evaluate(
    classifier: Pipeline, x_test: pd.DataFrame, y_test: pd.Series
) -> tuple[float, float, float, float, Figure]:
    """Judge the classifier on penguins that it has not seen.

    Returns:
        Accuracy, the F1 score of each species, and the confusion matrix as a picture.
    """
    predicted = classifier.predict(x_test)
    f1_adelie, f1_chinstrap, f1_gentoo = f1_score(
        y_test, predicted, labels=SPECIES, average=None
    )
    figure = Figure(figsize=(5, 4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        y_test,
        predicted,
        labels=SPECIES,
        cmap="Blues",
        colorbar=False,
        ax=figure.subplots(),
    )
    accuracy = accuracy_score(y_test, predicted)
    return accuracy, f1_adelie, f1_chinstrap, f1_gentoo, figure
