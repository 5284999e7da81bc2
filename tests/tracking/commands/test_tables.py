"""Tables fit the terminal."""

import pytest
from tracking.commands.diff import Difference, Row
from tracking.commands.tables import print_difference


def test_two_runs_are_side_by_side_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = "kedro run --pipelines penguins --params classifier.C=0.1,classifier.tol="
    rows = [
        Row("metric", "accuracy", "0.988372093023", "0.977777777777"),
        Row("param", "classifier.C", "0.1", "10.0"),
        Row("source", "command", f"{command}first", f"{command}second"),
    ]
    one, other = ("a" * 32, "penguins"), ("b" * 32, "penguins")
    print_difference(Difference(one, other, rows))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    words = "\n".join(lines).split()
    assert {"a" * 8, "b" * 8, "classifier.C"} <= set(words)
    assert words[words.index("accuracy") + 1 :][:2] == [
        "0.988372093023",
        "0.977777777777",
    ]
