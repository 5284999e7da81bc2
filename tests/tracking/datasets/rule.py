"""A model for ``mlflow.pyfunc``, by both of its workflows."""

from typing import Any

from mlflow.pyfunc import PythonModel


class Rule(PythonModel):
    """Adds a constant."""

    def __init__(self, constant: int) -> None:
        self.constant = constant

    def predict(self, context: Any, model_input: list[int]) -> list[int]:
        return [value + self.constant for value in model_input]


def _load_pyfunc(path: str) -> "Loaded":
    return Loaded()


class Loaded:
    def predict(self, model_input: Any) -> Any:
        return [value + 2 for value in model_input]
