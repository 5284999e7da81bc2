"""A file cut into entries keeps every character."""

from pathlib import Path

import pytest

from hooks.document import UnreadableError
from hooks.read_yaml import read_yaml

TEXTS = {
    "sequence at the key's column": "a:\n- 1\n- x: 2\n\n  # in\n  # out\nb: 1\n",
    "block scalars": "a: |\n  one\n\n  two\n\n# about b\nb: >-\n  three\n",
    "flow over lines": "a: {x: 1,\n    y: [2,\n 3]}\nb: 'it''s'  # remark\n",
    "empty values": "a:\nb: ~\nc:\n  # only a comment\nd:\n  e:\n",
    "anchors": "a: &a\n  x: 1\nb: *a\nc:\n  <<: *a\n  y: 2\nd: 1\n",
    "start and tail": "%YAML 1.1\n---\na: 1\n\n# tail\n",
    "only comments": "# nothing\n# server:\n",
    "nothing": "",
    "four columns": "a:\n\n    # about b\n    b:\n        c: 1\n    d: 2\n",
    "plain over lines": "a: one\n  two\nb: 1\n",
    "quoted key": '"a b": 1\n? c\n: 2\n',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_is_its_entries(text: str) -> None:
    assert str(read_yaml(text)) == text


def test_mlflow_yml_is_its_entries(default_project: Path) -> None:
    for file in default_project.glob("conf/*/mlflow.yml"):
        text = file.read_text("utf-8")
        assert str(read_yaml(text)) == text
    base = read_yaml((default_project / "conf/base/mlflow.yml").read_text("utf-8"))
    name = base.entries["tracking"].entries["run"].entries["name"]
    assert name.lead == (
        "\n    # Its name. Null: the names of the pipelines, and for the default one a"
        " random name. A\n    # run with an id keeps its own.\n"
    )
    assert name.text == "    name: null\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2\n", "the key 'a' twice"),
        ("- 1\n", "no mapping"),
        ("{a: 1}\n", "no mapping"),
        ("a: [1\n", "flow sequence"),
        ("a: 1\n---\nb: 2\n", "single document"),
        ("<<<<<<< before updating\na: 1\n=======\n", "mapping values are not allowed"),
        ("? [a, b]\n: 1\n", "more than one plain key"),
        ("a: !secret x\n", "could not determine a constructor"),
    ],
)
def test_what_cannot_be_cut_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_yaml(text)
