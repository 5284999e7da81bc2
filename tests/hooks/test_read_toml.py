"""A pyproject.toml cut into entries keeps every character, and merges by key."""

from pathlib import Path

import pytest

from hooks.document import UnreadableError
from hooks.merge import Conflict, merge
from hooks.read_toml import read_toml

STRINGS = r"""
a = '# no [remark'
b = '''
[x]
# y'
'''
"c = d" = "[\"#"  # =
e."f.g" = 1979-05-27  # day
"""
TEXTS = {
    "strings that hold what TOML is made of": STRINGS,
    "strings of several lines": STRINGS.replace("'''", '"""'),
    "arrays": "a = [  # why\n  1,\n\n  [2, '3'],  # and\n  # last\n]\nb = []\n",
    "inline tables": "x = { a = [1], b = { c = '}' } }\n",
    "tables": '# head\n\na = 1\n\n# t\n[t]  # remark\nb = 1\n# end\n[t."u.v"]\n\n#\n',
    "arrays of tables": "[[i]]\na = 1\n\n# second\n[[i]]\n[i.sub]\nb = 2\n\n[o]\n",
    "nothing": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_is_its_entries(text: str) -> None:
    assert str(read_toml(text)) == text


def test_pyproject_is_its_entries(default_project: Path) -> None:
    text = (default_project / "pyproject.toml").read_text("utf-8")
    tables = read_toml(text).entries
    assert str(read_toml(text)) == text
    items = tables["project"].entries["dependencies"].items
    assert items.entries["kedro"].value == "kedro>=1.2,<2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = 1\na = 2\n", "it is no TOML"),
        ("<<<<<<< before\na = 1\n", "it is no TOML"),
        ("[[a]]\n[b]\n[[a]]\n", r"\[\[a\]\] is in several places"),
    ],
)
def test_what_cannot_be_cut_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_toml(text)


LISTED = """\
[project]
dependencies = [
    "kedro>=1",  # why

    # Tables.
    "pandas[extra]>=2; python_version < '4'",

    "old",
    # the end
]
name = "x"

# Tools.
[tool.a]
b = 1
"""
SHORT = LISTED.replace("\n\n    ", "\n    ")
ONE_LINE = """\
[project]
dependencies = ["kedro>=1", "pandas[extra]>=2; python_version < '4'", "old"]
name = "x"
[tool.a]
b = 1
"""


def merged(base: str, ours: str, theirs: str) -> tuple[str, list[Conflict]]:
    return merge(*map(read_toml, (base, ours, theirs)))


@pytest.mark.parametrize(
    ("ours", "theirs", "result"),
    [
        pytest.param(
            SHORT.replace("# the end\n", '"mine",\n'),
            LISTED.replace("kedro>=1", "kedro>=2").replace('    "old",\n', ""),
            SHORT.replace("# the end\n", '"mine",\n')
            .replace("kedro>=1", "kedro>=2")
            .replace('    "old",\n', ""),
            id="uv add",
        ),
        pytest.param(
            ONE_LINE.replace('"old"]', '"Old"]').replace("b = 1", "b = 2"),
            LISTED.replace("pandas[extra]>=2", "pandas>=3"),
            "[project]\ndependencies = [\n"
            '    "kedro>=1",\n    "pandas>=3; python_version < \'4\'",\n    "Old",\n]\n'
            'name = "x"\n[tool.a]\nb = 2\n',
            id="one line",
        ),
        pytest.param(
            LISTED.replace("b = 1", "b = 1  # ours"),
            LISTED.replace("b = 1", "b = 3\n\n# New.\n[tool.a.c]\nd = 1"),
            LISTED.replace("b = 1", "b = 3  # ours\n\n# New.\n[tool.a.c]\nd = 1"),
            id="a value with a remark, and a table",
        ),
        pytest.param(
            LISTED + "\n[tool.mine]\n",
            LISTED.replace("[tool.a]\nb = 1\n", "[tool.z]\n"),
            LISTED.replace("[tool.a]\nb = 1\n", "[tool.z]\n") + "\n[tool.mine]\n",
            id="a table that the template renames",
        ),
        pytest.param(
            LISTED.replace(
                '    "old",\n', '    "old",\n    "numpy>=1; a",\n    "numpy",\n'
            ),
            LISTED.replace('"old"', '"old>=1"'),
            LISTED.replace(
                '    "old",\n', '    "old>=1",\n    "numpy>=1; a",\n    "numpy",\n'
            ),
            id="a distribution twice",
        ),
    ],
)
def test_what_is_no_conflict_is_merged(ours: str, theirs: str, result: str) -> None:
    assert merged(LISTED, ours, theirs) == (result, [])


def test_only_the_requirement_that_both_have_changed_is_left() -> None:
    text, (conflict,) = merged(
        LISTED, LISTED.replace("kedro>=1", "kedro==1"), LISTED.replace("o>=1", "o>=2")
    )
    assert conflict.key == "project.dependencies.kedro"
    assert (
        '[\n<<<<<<< before updating\n    "kedro==1",  # why\n=======\n'
        '    "kedro>=2",  # why\n>>>>>>> after updating\n\n    # Tables.\n'
    ) in text


def test_a_list_that_is_no_requirements_is_one_value() -> None:
    base = '[tool.ruff]\nselect = ["F"]\n'
    _, (conflict,) = merged(
        base, base.replace('"F"', '"F", "E"'), base.replace('"F"', '"F", "W"')
    )
    assert conflict.key == "tool.ruff.select"
