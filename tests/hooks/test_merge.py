"""Three sides of mlflow.yml become one, key by key."""

import pytest
import yaml

from hooks.merge import Conflict
from hooks.merge import merge as merge_documents
from hooks.read_yaml import read_yaml

BASE = """\
# Head.

# The run.
run:

  # Its name.
  name: null

  # Whether nodes may open runs below it.
  nested: true

ui:

  port: null
"""


def merge(base: str, ours: str, theirs: str) -> tuple[str, list[Conflict]]:
    return merge_documents(*map(read_yaml, (base, ours, theirs)))


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        pytest.param(
            ("nested: true", "nested: false"),
            ("name: null", "name: pets"),
            [("nested: true", "nested: false"), ("name: null", "name: pets")],
            id="neighbours",
        ),
        pytest.param(
            ("nested: true", "nested: True  # why"),
            ("nested: true", "nested: false"),
            [("nested: true", "nested: false  # why")],
            id="a remark stays beside the template's value",
        ),
        pytest.param(
            ("port: null", "port: 1"),
            ("port: null", "port: null\n\n  # New.\n  new: 1"),
            [("port: null", "port: 1\n\n  # New.\n  new: 1")],
            id="a new key at the end",
        ),
        pytest.param(
            ("  # Its name.\n  name: null\n", "  # Ours.\n  name: mine\n"),
            ("# Its name.", "# The name."),
            [("  # Its name.\n  name: null\n", "  # Ours.\n  name: mine\n")],
            id="the project's comment wins",
        ),
        pytest.param(
            ("name: null", "name: mine"),
            ("# Its name.", "# The name."),
            [("# Its name.", "# The name."), ("name: null", "name: mine")],
            id="a reworded comment above an edited value",
        ),
        pytest.param(
            ("name: null", "name: 'same'"),
            ("name: null", "name: same"),
            [("name: null", "name: 'same'")],
            id="both the same",
        ),
        pytest.param(
            ("\n  # Its name.\n  name: null\n", ""),
            ("nested: true", "nested: false"),
            [
                ("\n  # Its name.\n  name: null\n", ""),
                ("nested: true", "nested: false"),
            ],
            id="a removed key stays removed",
        ),
        pytest.param(
            ("port: null", "port: 1"),
            ("\n  # Its name.\n  name: null\n", ""),
            [("\n  # Its name.\n  name: null\n", ""), ("port: null", "port: 1")],
            id="a key that the template drops goes",
        ),
        pytest.param(
            ("ui:\n\n  port: null\n", "ui:\n"),
            ("port: null", "port: null\n\n  # New.\n  new: 1"),
            [("ui:\n\n  port: null\n", "ui:\n\n  # New.\n  new: 1\n")],
            id="a new key in an emptied section",
        ),
        pytest.param(
            ("ui:\n\n  port: null\n", "ui: {port: 7}\n"),
            ("nested: true", "nested: false"),
            [
                ("ui:\n\n  port: null\n", "ui: {port: 7}\n"),
                ("nested: true", "nested: false"),
            ],
            id="another style",
        ),
    ],
)
def test_what_is_no_conflict_is_settled(
    ours: tuple[str, str], theirs: tuple[str, str], merged: list[tuple[str, str]]
) -> None:
    expected = BASE
    for old, new in merged:
        expected = expected.replace(old, new)
    assert merge(BASE, BASE.replace(*ours), BASE.replace(*theirs)) == (expected, [])


def test_other_indentation_and_order_are_the_projects() -> None:
    ours = "ui:\n    port: 1\nrun:\n    nested: true\n    name: null\n    own: x\n"
    theirs = BASE.replace("name: null", "name: pets").replace(
        "nested: true", "nested: true\n\n  # New.\n  new:\n    a: 1"
    )
    merged, conflicts = merge(BASE, ours, theirs)
    assert conflicts == []
    assert merged == (
        "ui:\n    port: 1\nrun:\n    nested: true\n\n    # New.\n    new:\n      a: 1\n"
        "    name: pets\n    own: x\n"
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "key", "sides"),
    [
        (("null", "mine"), ("null", "yours"), "run.name", ("mine", "yours")),
        (("  nested: true\n", ""), ("true", "false"), "run.nested", (None, False)),
        (("true", "false"), ("  nested: true\n", ""), "run.nested", (False, None)),
        (
            ("true", "true\n  new: 1"),
            ("true", "true\n  new: 2"),
            "run.new",
            (1, 2),
        ),
    ],
)
def test_only_the_key_that_both_have_changed_is_left(
    ours: tuple[str, str],
    theirs: tuple[str, str],
    key: str,
    sides: tuple[object, object],
) -> None:
    merged, (conflict,) = merge(
        BASE,
        BASE.replace(*ours, 1).replace("port: null", "port: 1"),
        BASE.replace(*theirs, 1).replace("# Head.", "# The head."),
    )
    found = (conflict.ours, conflict.theirs)
    assert conflict.key == key
    assert tuple(entry and entry.value for entry in found) == sides
    before, rest = merged.split("<<<<<<< before updating\n")
    mine, rest = rest.split("=======\n")
    yours, after = rest.split(">>>>>>> after updating\n")
    assert [yaml.safe_load(side) for side in (mine, yours)] == [
        {key.split(".")[1]: side} if side is not None else None for side in sides
    ]
    assert before.startswith("# The head.\n")
    assert "port: 1" in after


def test_comments_of_an_environment_without_keys_are_kept() -> None:
    base = "# Head.\n\n# server:\n#   mlflow_tracking_uri: x\n"
    ours = "# Head.\n\nserver:\n  mlflow_tracking_uri: y\n"
    assert merge(base, ours, base.replace("Head", "The head")) == (ours, [])
    assert merge(base, base, ours) == (ours, [])


def test_a_file_that_the_template_has_emptied_keeps_one_head() -> None:
    base = "# Head.\n\nserver:\n  uri: a\n"
    merged, conflicts = merge(
        base, base.replace("a\n", "mine\n"), "# Head.\n\n# server:\n#   uri: null\n"
    )
    assert [conflict.key for conflict in conflicts] == ["server"]
    assert merged.count("# Head.") == 1
    assert "uri: mine" in merged
    assert merged.endswith("# server:\n#   uri: null\n")
