"""What is shown of many projects fits a terminal, and cuts nothing."""

from pathlib import Path

from rich.console import Console

from fleet import report
from fleet.aftercare import after_update
from fleet.facts import Facts, Project
from fleet.outcome import Outcome
from tests.releases import git

ADDRESS = (
    "https://git.example.com/data-science-and-analytics/customer-lifetime-value.git"
)


def shown(table: object) -> str:
    """Return the cells of a table in a terminal of 80 columns, without their frames."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    rows = [line.split("│")[1:-1] for line in capture.get().splitlines()]
    return " ".join(
        "".join(map(str.strip, column))
        for column in zip(*filter(None, rows), strict=True)
    )


def test_tables_cut_nothing_at_80_columns() -> None:
    name = "data-science-and-analytics/customer-lifetime-value"
    fact = Facts(Project(ADDRESS, ".", 1), "behind", "v0.1.0")
    outcome = Outcome(ADDRESS, "draft", ["no"], request=ADDRESS)
    for table in (report.table([fact], "v0.2.0"), report.outcomes([outcome])):
        assert name in shown(table)
        assert "…" not in shown(table)
    assert ADDRESS in shown(report.outcomes([outcome]))


PRE_COMMIT = """\
ruff check...............................................................Passed
ruff format..............................................................Failed
- hook id: ruff-format
- files were modified by this hook

1 file reformatted
check yaml...........................................(no files to check)Skipped
mlflow.yml is valid......................................................Failed
- hook id: mlflow-config
- exit code: 1

{findings}
no secrets...............................................................Passed
"""


def test_of_a_failed_check_the_failed_parts_are_shown(
    tmp_path: Path, monkeypatch
) -> None:
    findings = "\n".join(f"finding {number}" for number in range(100))
    (tmp_path / "said").write_text(PRE_COMMIT.format(findings=findings))
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q")
    log = tmp_path / "state/log"
    found = list(after_update(Path(), ["cat said; exit 1"], 1, log))
    first, *lines = found[-1].splitlines()
    assert first == "'cat said; exit 1' has failed with exit code 1:"
    said = "\n".join(lines)
    assert "Passed" not in said
    assert "Skipped" not in said
    assert "hook id: ruff-format" in said
    assert "hook id: mlflow-config" in said
    assert "finding 0\n" in said
    assert "lines are left out" in said
    assert "finding 99" in said
    assert "finding 50" not in said
    assert "finding 50" in log.read_text()
