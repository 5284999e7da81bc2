"""Kill the server, the run and the sync at random moments, and count what is lost.

Writes results/reliability.json after every trial, and goes on where it has stopped; at
the end it writes the chart and the table of docs/reliability.md.
"""

import argparse
import json
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console

from benchmarks.contestants import OURS, RIVAL, TEMPLATE

from .project import Measured
from .report import write
from .server import Server
from .trials import Case, cases, is_bad, run_trial

RESULTS = TEMPLATE / "benchmarks/results/reliability.json"
console = Console(soft_wrap=True, highlight=False)


def main() -> None:
    """Run the trials that are missing; then draw and write."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options = _options()
    results = _results(options.results)
    trials = results["trials"]
    server = Server(options.folder / "server")
    try:
        for name, count in ((OURS, options.trials), (RIVAL, options.rival)):
            project = Measured(name, options.folder) if count else None
            for number, case in _numbered(name, count, options.only):
                assert project
                key: dict[str, Any] = {"name": name, "version": project.version}
                key |= {"seed": options.seed, "number": number}
                if any(key.items() <= trial.items() for trial in trials):
                    continue
                title = f"{name.replace(' ', '-')}-{options.seed}-{number}"
                keep = options.folder / "kept" / title
                luck = Random(title)
                found = run_trial(project, server, case, luck, title, keep)
                trial = {**key, "scenario": case.scenario, "case": case.name, **found}
                trials[:] = [t for t in trials if _is_of(t, name, project.version)]
                trials.append({**trial, "is_bad": is_bad(case, found)})
                results["about"] = _about()
                text = json.dumps(results, indent=1) + "\n"
                options.results.write_text(text, "utf-8")
                _say(trials[-1], keep)
    finally:
        server.kill()
    write(results, options)


def _options() -> argparse.Namespace:
    home = Path(tempfile.gettempdir()) / "reliability"
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability", description=__doc__
    )
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rival", type=int, default=0, help="trials of kedro-mlflow")
    parser.add_argument("--only", choices=["server", "process", "sync"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, default=home, help="where environments stay"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def _numbered(name: str, count: int, only: str | None) -> Iterator[tuple[int, Case]]:
    """Yield the trials: the cases take turns."""
    kinds = list(cases("server" if name == RIVAL else None))
    for number in range(count):
        case = kinds[number % len(kinds)]
        if only in (None, case.scenario):
            yield number, case


def _results(file: Path) -> dict[str, Any]:
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return found
    return {"about": {}, "trials": []}


def _is_of(trial: dict[str, Any], name: str, its_version: str) -> bool:
    """Whether a trial may stay: of another contestant, or of the same version."""
    return bool(trial["name"] != name or trial["version"] == its_version)


def _about() -> dict[str, str]:
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "kedro": version("kedro"),
        "mlflow": version("mlflow"),
    }


def _say(trial: dict[str, Any], keep: Path) -> None:
    words = [f"{trial['number']}: {trial['name']}, {trial['scenario']} {trial['case']}"]
    words += [f"{len(trial['lost'])} of {trial['logged']} lost"]
    words += [f"{len(trial['twice'])} twice", f"{', '.join(trial['statuses'])}"]
    for key in ("moment", "down", "told", "wait"):
        if trial[key] is not None:
            words.append(f"{key} {trial[key]:.1f}")
    words += [f"look at {keep}"] if trial["is_bad"] else []
    console.print("; ".join(words), style="red" if trial["is_bad"] else None)


if __name__ == "__main__":
    main()
