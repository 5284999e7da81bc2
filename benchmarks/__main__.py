"""``python -m benchmarks``: measure, print a table, write it and a chart to docs/."""

import argparse
import math
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from operator import methodcaller
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mlflow_server import MlflowServer
from tests.recorder import Recorder, recorder
from tests.releases import Project, Template

from .chart import draw
from .contestants import BARE, OURS, RIVAL, TEMPLATE, Contestant, build

PAGE = TEMPLATE / "docs/performance.md"
NAMES = (BARE, OURS, RIVAL)
console = Console()


def main() -> None:
    """Measure everything that the arguments ask for."""
    options = _options()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        server = MlflowServer(folder)
        names = [name for name in NAMES if name != RIVAL or not options.quick]
        with console.status("Installing an environment for each"):
            contestants = [build(name, folder) for name in names]
        if options.quick:
            console.print(_rich(pd.DataFrame(_runs(contestants, server.uri, options))))
            server.close()
            return
        commands = pd.DataFrame(_commands(contestants, folder, options.repeat))
        runs = pd.DataFrame(_runs(contestants, server.uri, options))
        server.close()
    figures = f"{_table(commands)}\n\n{_table(_overhead(runs))}"
    for frame in (commands, _overhead(runs)):
        console.print(_rich(frame))
    draw(runs, TEMPLATE / "docs/images/overhead.svg")
    about = (
        f"Measured on {platform.python_implementation()} {platform.python_version()}, "
        f"Kedro {version('kedro')}, MLflow {version('mlflow')}, kedro-mlflow 2.0.3; "
        f"medians of {options.repeat}.\n\n```sh\n"
        f"{' '.join(['.venv/bin/python -m benchmarks', *sys.argv[1:]])}\n```"
    )
    page = PAGE.read_text("utf-8")
    chart = "![Seconds over bare Kedro against nodes](images/overhead.svg)"
    body = f"<!-- figures -->\n{about}\n\n{chart}\n\n{figures}\n<!-- end -->"
    PAGE.write_text(
        re.sub("<!-- figures -->.*<!-- end -->", lambda _: body, page, flags=re.S)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--params", type=int, default=20, help="for each node")
    parser.add_argument("--latency", type=int, nargs="+", default=[0, 30, 150])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="without kedro-mlflow and the commands; print, and write nothing",
    )
    return parser.parse_args()


def _commands(
    contestants: list[Contestant], folder: Path, repeat: int
) -> Iterator[dict[str, object]]:
    """Yield what it costs to start, to turn tracking off, and to have it on disk."""
    yield {"what": "environment (MB)", **{c.name: c.size() for c in contestants}}
    skinny = build(OURS, folder / "skinny", mlflow_install="skinny")
    yield {"what": "environment with mlflow_install: skinny (MB)", OURS: skinny.size()}
    for contestant in contestants:
        contestant.has_pipeline(10, 20)
        contestant.tracks_to("sqlite:///mlflow.db", disabled=True)
        contestant.kedro("run")  # compiles what is imported
    for words in (["--help"], ["registry", "list"], ["run"]):
        title = "kedro " + " ".join(words) + (", disabled" if words == ["run"] else "")
        costs = _in_turn(contestants, methodcaller("kedro", *words), repeat)
        ratios = {f"{name} : bare": costs[name] / costs[BARE] for name in (OURS, RIVAL)}
        yield {"what": f"{title} (s)", **costs, **ratios}
    copied, updated = zip(
        *(_copy_and_update(folder, n) for n in range(repeat)), strict=True
    )
    yield {"what": "copier copy (s)", OURS: median(copied)}
    yield {"what": "copier update (s)", OURS: median(updated)}


def _copy_and_update(folder: Path, number: int) -> tuple[float, float]:
    """Give the seconds of making a project, and of taking the next release."""
    template = Template(folder / f"template-{number}")
    template.release("v0.1.0")
    start = time.perf_counter()
    project = Project.copy(template, folder / f"copy-{number}")
    between = time.perf_counter()
    template.replace(
        "template/conf/base/mlflow.yml.jinja", "create: true", "create: false"
    )
    template.release("v0.2.0")
    return between - start, _seconds(project.update)


def _runs(
    contestants: list[Contestant], server: str, options: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """Yield the seconds and requests of tracked runs, for each store and size."""
    stores: list[int | None] = [None, *options.latency]
    cases = [(nodes, store) for store in stores for nodes in options.nodes]
    for nodes, latency in track(cases, "Running", console=console):
        proxy = nullcontext() if latency is None else recorder(server, latency / 1000)
        with proxy as seen:
            requests: dict[str, int] = {}
            for contestant in contestants:
                contestant.has_pipeline(1, options.params)
                contestant.tracks_to(seen.uri if seen else "sqlite:///mlflow.db")
                contestant.kedro("run")  # makes store and experiment, warms the disk
                contestant.has_pipeline(nodes, options.params)

            run = partial(_run, seen=seen, requests=requests)
            seconds = _in_turn(contestants, run, options.repeat)
        for name in seconds:
            yield {
                "store": "local" if latency is None else f"server, {latency} ms away",
                "nodes": nodes,
                "name": name,
                "seconds": seconds[name],
                "requests": requests.get(name),
            }


def _run(
    contestant: Contestant, seen: Recorder | None, requests: dict[str, int]
) -> None:
    """Run, and note how many requests have come."""
    if seen:
        seen.counts.clear()
    contestant.kedro("run")
    if seen:
        requests[contestant.name] = seen.counts.total()


def _overhead(runs: pd.DataFrame) -> pd.DataFrame:
    """Give one row for each store and size: seconds over bare Kedro, and requests."""
    rows = []
    for (store, nodes), case in runs.groupby(["store", "nodes"], sort=False):
        by_name = case.set_index("name")
        over = by_name["seconds"] - by_name["seconds"][BARE]
        rows.append(
            {
                "what": f"{store}, N = {nodes}",
                f"{OURS} (s over bare)": over[OURS],
                f"{RIVAL} (s over bare)": over[RIVAL],
                "ratio": over[RIVAL] / over[OURS],
                f"{OURS} (requests)": by_name["requests"][OURS],
                f"{RIVAL} (requests)": by_name["requests"][RIVAL],
            }
        )
    return pd.DataFrame(rows)  # type: ignore[no-any-return]  # of its stubs


def _in_turn(
    contestants: list[Contestant], work: Callable[[Contestant], None], repeat: int
) -> dict[str, float]:
    """Give each one's median seconds; they take turns, so that drift hits all."""
    seconds: dict[str, list[float]] = {c.name: [] for c in contestants}
    for _ in range(repeat):
        for contestant in contestants:
            seconds[contestant.name].append(_seconds(partial(work, contestant)))
    return {name: median(values) for name, values in seconds.items()}


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _table(frame: pd.DataFrame) -> str:
    lines = [
        "| " + " | ".join(frame.columns) + " |",
        "|" + " --- |" * len(frame.columns),
    ]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in frame.to_numpy()]
    return "\n".join(lines)


def _rich(frame: pd.DataFrame) -> Table:
    table = Table(*frame.columns)
    for row in frame.to_numpy():
        table.add_row(*map(_cell, row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return ""
    return f"{number:,.0f}" if number >= 100 or number.is_integer() else f"{number:.2f}"


if __name__ == "__main__":
    main()
