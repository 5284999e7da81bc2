"""Node functions that worker processes can import: one for each dataset of the docs."""

from typing import Any

from sklearn.linear_model import LinearRegression


def report(a: int) -> dict[str, int]:
    return {"a": a}


def tables(a: int) -> dict[str, Any]:
    return {"one": {"a": a}, "deep/two": {"a": a + 1}}


def accuracy(a: int) -> float:
    return a / 2


def loss(a: int) -> dict[int, float]:
    return {10: 0.5, 0: 0.75, 20: float(a)}


def training(a: int) -> dict[str, float]:
    return {"loss": 0.25, "accuracy": a / 2}


def best(a: int) -> dict[str, Any]:
    return {"C": a / 2, "kernel": "rbf"}


def model(a: int) -> LinearRegression:
    return LinearRegression().fit([[0.0], [1.0]], [0.0, a])


def rule(a: int) -> Any:
    from tests.tracking.datasets.rule import Rule

    return Rule(a)


def check(  # noqa: PLR0917
    report: Any,
    tables: Any,
    accuracy: Any,
    f1_adelie: Any,
    loss: Any,
    training: Any,
    best: Any,
    classifier: Any,
    rule: Any,
    candidate: Any,
    champion: Any,
) -> str:
    """Load each dataset in another node, and so in another process or thread."""
    assert report == {"a": 1}
    assert {k: load() for k, load in tables.items()} == {
        "one": {"a": 1},
        "deep/two": {"a": 2},
    }
    assert accuracy == f1_adelie == 0.5
    assert loss == {10: 0.5, 0: 0.75, 20: 1.0}
    assert training == {"loss": 0.25, "accuracy": 0.5}
    assert best == {"C": 0.5, "kernel": "rbf"}
    for regression in (classifier, candidate, champion):
        assert round(regression.predict([[3.0]])[0]) == 3
    assert rule.predict([3]) == [4]
    return "all is well"


def compare(
    report: Any, accuracy: Any, loss: Any, training: Any, classifier: Any, newest: Any
) -> tuple[float, str]:
    """Load what an earlier run has saved."""
    assert report == {"a": 1}
    assert accuracy == 0.5
    assert loss == {10: 0.5, 0: 0.75, 20: 1.0}
    assert training == {"loss": 0.25, "accuracy": 0.5}
    for regression in (classifier, newest):
        assert round(regression.predict([[3.0]])[0]) == 3
    return 9.0, "compared"


def refuse_small(value: float) -> None:
    """Validate an entry of the catalog."""
    if value < 1:
        raise ValueError(f"{value} is small")
