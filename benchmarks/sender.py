"""``python -m benchmarks.sender``: who sends, a thread or a process? For decision 0065.

A prototype, which logs a metric of each node and nothing else, is compared with bare Kedro
and with this template. Its run waits for MLflow's import (``thread``), imports MLflow beside
its nodes (``late``), or lets another process import MLflow and send (``process``).
"""

import argparse
import os
import textwrap
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mlflow_server import MlflowServer
from tests.recorder import recorder

from .contestants import BARE, METRIC, OURS, PACKAGE, Contestant, build

NODES, SECONDS = 50, 0.06
VARIANTS = ("thread", "late", "process")
WORK = {"wait": f"time.sleep({SECONDS})", "compute": "compute()"}

_REGISTRY = f"""
import time
from kedro.pipeline import Pipeline, node

def compute():
    end = time.thread_time() + {SECONDS}  # of this thread alone
    while time.thread_time() < end:
        sum(range(1000))

def work(_):
    {{work}}
    return 1.0

def register_pipelines():
    nodes = [node(work, "params:p", f"metric_{{{{n}}}}", name=f"n{{{{n}}}}") for n in range({NODES})]
    return {{{{"__default__": Pipeline(nodes)}}}}
"""

_SENDER = '''
"""Send the lines of a journal to MLflow until its end; ends with the process that writes."""
import json, os, sys, time

def send(journal, uri, is_over=lambda: False):
    import mlflow
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name("sender")
    experiment = found.experiment_id if found else client.create_experiment("sender")
    run = client.create_run(experiment).info.run_id
    with open(journal) as lines:
        while not is_over():
            new = [json.loads(line) for line in lines.readlines()]
            metrics = [mlflow.entities.Metric(n["key"], n["value"], 0, 0) for n in new if "key" in n]
            if metrics:
                client.log_batch(run, metrics)
            if any("status" in n for n in new):
                client.set_terminated(run)
                return
            time.sleep(0.05)

if __name__ == "__main__":
    parent = os.getppid()
    send(*sys.argv[1:], is_over=lambda: os.getppid() != parent)
'''

_HOOK = """
import json, os, subprocess, sys, threading
from pathlib import Path
from kedro.framework.hooks import hook_impl
from . import sender

class Prototype:
    @hook_impl
    def after_context_created(self, context):
        self.journal = Path("journal.jsonl")
        self.journal.write_text("")
        words = [str(self.journal), os.environ["SENDER_URI"]]
        if os.environ["SENDER"] == "process":
            self.process = subprocess.Popen([sys.executable, sender.__file__, *words])
            self.wait = self.process.wait
            return
        if os.environ["SENDER"] == "thread":
            import mlflow
        thread = threading.Thread(target=sender.send, args=words)
        thread.start()
        self.wait = thread.join

    @hook_impl
    def after_dataset_saved(self, dataset_name, data):
        self.write(key=dataset_name, value=data)

    @hook_impl
    def after_pipeline_run(self):
        self.write(status="FINISHED")
        self.wait()

    def write(self, **record):
        with self.journal.open("a") as file:
            file.write(json.dumps(record) + "\\n")
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sender", description=__doc__
    )
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    rows = []
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        server = MlflowServer(folder)
        bare, ours = build(BARE, folder), build(OURS, folder)
        _add_prototype(bare)
        runs = [(bare, ""), (ours, ""), *((bare, name) for name in VARIANTS)]
        with recorder(server.uri, 0.15) as away:
            stores = {"local": "sqlite:///mlflow.db", "150 ms away": away.uri}
            cases = [(work, store) for store in stores for work in WORK]
            for work, store in track(cases, "Running"):
                for contestant, _ in runs:
                    _has_pipeline(contestant, WORK[work])
                    contestant.tracks_to(stores[store])
                found = {
                    name or contestant.name: _seconds(
                        contestant, name, stores[store], repeat
                    )
                    for contestant, name in runs
                }
                over = {name: f"{found[name] - found[BARE]:.2f}" for name in found}
                over[BARE] = f"{found[BARE]:.2f} in all"
                rows.append({"store": store, "nodes": work, **over})
        server.close()
    frame = pd.DataFrame(rows)
    table = Table(*frame.columns, title="seconds over bare Kedro, medians")
    for row in frame.to_numpy():
        table.add_row(*row)
    Console().print(table)


def _seconds(contestant: Contestant, variant: str, uri: str, repeat: int) -> float:
    os.environ.update(SENDER=variant, SENDER_URI=uri)
    contestant.kedro("run")  # makes store and experiment, compiles
    found = []
    for _ in range(repeat):
        start = time.perf_counter()
        contestant.kedro("run")
        found.append(time.perf_counter() - start)
    return median(found)


def _add_prototype(bare: Contestant) -> None:
    source = bare.project / "src" / PACKAGE
    (source / "sender.py").write_text(textwrap.dedent(_SENDER))
    (source / "hooks.py").write_text(textwrap.dedent(_HOOK))
    with (source / "settings.py").open("a") as settings:
        settings.write(
            "\nimport os\n"
            f"if os.environ.get('SENDER'):\n    from {PACKAGE}.hooks import Prototype\n"
            "    HOOKS = (Prototype(),)\n"
        )


def _has_pipeline(contestant: Contestant, work: str) -> None:
    contestant.has_pipeline(0, 0)
    source = contestant.project / "src" / PACKAGE
    (source / "pipeline_registry.py").write_text(_REGISTRY.format(work=work))
    base = contestant.project / "conf/base"
    (base / "parameters.yml").write_text("p: 1\n")
    kind = METRIC.get(contestant.name, "MemoryDataset")
    (base / "catalog.yml").write_text(f'"metric_{{n}}":\n  type: {kind}\n')


if __name__ == "__main__":
    main()
