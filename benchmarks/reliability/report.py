"""The table and the chart of docs/reliability.md."""

import argparse
import re
from statistics import median
from typing import Any

import pandas as pd

from benchmarks.contestants import OURS, RIVAL, TEMPLATE

from .chart import draw
from .trials import CASES

PAGE = TEMPLATE / "docs/reliability.md"


def write(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Draw the chart, and replace the figures of the page."""
    trials = pd.DataFrame(results["trials"])
    draw(trials, TEMPLATE / "docs/images/reliability.svg")
    ours = trials[trials["name"] == OURS]
    about, command = results["about"], ".venv/bin/python -m benchmarks.reliability"
    command += f" --trials {options.trials} --seed {options.seed}"
    command += f" --rival {options.rival}" if options.rival else ""
    measured = (
        f"Measured on {about['date']} with CPython {about['python']}, Kedro "
        f"{about['kedro']}, MLflow {about['mlflow']}, kedro-mlflow 2.0.3, and this "
        f"template at {' and '.join(ours['version'].unique())}."
    )
    chart = "![Lost records, and seconds until the exit](images/reliability.svg)"
    body = f"{measured}\n\n```sh\n{command}\n```\n\n{chart}\n\n{_table(trials)}"
    body = f"<!-- figures -->\n{body}\n<!-- end -->"
    page = PAGE.read_text("utf-8")
    page = re.sub("<!-- figures -->.*<!-- end -->", lambda _: body, page, flags=re.S)
    PAGE.write_text(page, "utf-8")


def _table(trials: pd.DataFrame) -> str:
    head = [
        "what is killed",
        "project",
        "trials",
        "records logged",
        "lost",
        "twice",
        "called refused",
        "away (s)",
        "told after (s)",
        "exit after (s)",
        "exit code 0",
        "status on the server",
    ]
    lines = [head, ["---"] * len(head)]
    for case in CASES:
        is_case = (trials["scenario"] == case.scenario) & (trials["case"] == case.name)
        for name in (OURS, RIVAL):
            these = trials[is_case & (trials["name"] == name)]
            if len(these):
                what = f"{case.scenario}, {case.name}" if case.name else case.scenario
                lines.append([what, name, *_cells(these, case.scenario)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(these: pd.DataFrame, scenario: str) -> list[str]:
    of_server = scenario == "server"
    statuses = these["statuses"].explode().fillna("no run").value_counts()
    return [
        str(len(these)),
        f"{these['logged'].sum():,}",
        f"{these['lost'].map(len).sum():,}",
        f"{these['twice'].map(len).sum():,}",
        f"{these['synced'].map(_calls_refused).sum()}",
        _seconds(these["down"]) if of_server else "",
        _seconds(these["told"]) if of_server else "",
        _seconds(these["wait"]) if of_server else "",
        f"{(these['code'] == 0).sum()}" if of_server else "",
        ", ".join(f"{count} {status}" for status, count in statuses.items()),
    ]


def _calls_refused(synced: list[str] | None) -> bool:
    """Whether sync named a record as refused, although the server refuses none here."""
    return any("refused" in text for text in synced or ())


def _seconds(values: pd.Series) -> str:
    """Return the median and the worst of some seconds."""
    known = values.dropna()
    if known.empty:
        return ""
    return f"{median(known):.1f}, at most {max(known):.1f}"
