"""A trial: kill one of the three at a random moment, then see what has arrived."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any, NamedTuple
from uuid import uuid4

from benchmarks.contestants import OURS
from tests.loopback import wait_until
from tests.recorder import recorder

from .arrived import arrived
from .project import Ended, Measured, Process
from .registry import NODES
from .server import Server

_OPENING = 2.0  # seconds that a run takes beside its nodes, about
_BULK = 5  # texts that a node logs in a trial of sync
_PATIENCE = {OURS: 90.0}  # seconds over those of the nodes, until a run counts as hung
_MLFLOWS = 1500.0  # MLflow itself tries a request for minutes
_TOLD = re.compile(
    "does not answer|recorded on this machine|Retrying|refused|wait in|API request to"
)
Outputs = dict[str, Ended]
Prepare = Callable[..., None]
_OFFLINE = {"KEDRO_MLFLOW_OFFLINE": "always"}


class Case(NamedTuple):
    """A kind of trial.

    Attributes:
        scenario: what is killed: ``server``, ``process`` or ``sync``.
        name: what else is special.
        seconds: that a node takes.
        back: seconds after which the server is started again; None for after the run.
        offline: whether the run asks for no server.
        changes: how many changes of files in the outbox a process makes, about; it is
            killed before one of them. 0 to kill it at any moment.
    """

    scenario: str
    name: str
    seconds: float = 0.2
    back: float | None = None
    offline: bool = False
    changes: int = 0


CASES = (
    Case("server", "again after 3 s", seconds=1.5, back=3),
    Case("process", "server answers"),
    Case("sync", "", seconds=0, offline=True),
    Case("server", "away until the run's end"),
    Case("process", "offline", offline=True),
    Case("process", "at a change of a file", changes=270),
    Case("sync", "at a change of a file", seconds=0, offline=True, changes=30),
    Case("server", "again after 60 s", seconds=5, back=60),
)


@dataclass
class Trial:
    """What has become of a trial; the result's documentation is in the page.

    Attributes:
        moment: seconds after the run's beginning, or else requests of sync, at the kill.
        down: seconds from the server's kill until it answered; None if the run ended
            before.
        told: seconds from the server's kill until a line about it stood there.
        wait: seconds from what a node logged last until the process ended.
        code: exit code of the run.
        synced: what the last sync said of each outbox.
        left: how many outboxes are there at the end.
        litter: what else is there, which nothing deletes.
        said_finished: whether a killed run had said that it is FINISHED.
    """

    moment: float
    wait: float | None = None
    code: int | None = None
    down: float | None = None
    told: float | None = None
    hung: bool = False
    synced: list[str] | None = None
    left: int = 0
    litter: list[str] | None = None
    said_finished: bool = False


def run_trial(
    project: Measured, server: Server, case: Case, luck: Random, name: str, keep: Path
) -> dict[str, Any]:
    """Run a trial; return its figures.

    Args:
        project: the project.
        server: its server.
        case: the kind of trial.
        luck: decides when to kill.
        name: of the experiment, which is the trial's own.
        keep: a folder for what a trial leaves in which something was lost.
    """
    kill = {"server": _kill_server, "process": _kill_run, "sync": _kill_sync}
    while True:
        server.start()
        first, outputs = 1000.0 * luck.randrange(1, 10**6), Outputs()
        experiment = f"{name}-{uuid4().hex[:8]}"  # another one when it is repeated

        def prepare(uri: str = server.uri) -> None:
            bulk = _BULK if case.scenario == "sync" else 0
            project.prepare(uri, experiment, first, case.seconds, bulk)  # noqa: B023

        trial = kill[case.scenario](project, server, case, luck, prepare, outputs)
        if trial:  # or else the kill came too late
            break
    found = arrived(server, experiment, project.truth)
    result = asdict(trial) | asdict(found)
    if is_bad(case, result):
        project.keep(keep, iter(outputs.items()))
    return result


def is_bad(case: Case, result: dict[str, Any]) -> bool:
    """Whether something is there to look at."""
    statuses = set(result["statuses"])
    expected = {"FINISHED"}
    if case.scenario == "process" and not result["said_finished"]:
        expected = {"FINISHED", "KILLED"}
    return bool(
        result["lost"]
        or result["twice"]
        or result["hung"]
        or result["left"]
        or len(result["statuses"]) > 1
        or (result["logged"] and not statuses)
        or statuses - expected
        or any("refused" in text for text in result["synced"] or ())
        or (case.scenario == "server" and result["code"])
    )


def _kill_server(
    project: Measured,
    server: Server,
    case: Case,
    luck: Random,
    prepare: Prepare,
    outputs: Outputs,
) -> Trial | None:
    prepare()
    trial = Trial(luck.uniform(0, NODES * case.seconds + _OPENING))
    run = project.start("run")
    if not _lives_until(project, run, trial.moment):
        return None
    killed, ended, back = server.kill(), Event(), [0.0]

    def start_again() -> None:
        ended.wait(case.back)
        back[0] = server.start()

    thread = Thread(target=start_again)
    thread.start()
    patience = _PATIENCE.get(project.name, _MLFLOWS)
    end = outputs["run"] = run.wait(NODES * case.seconds + patience)
    ended.set()
    thread.join()
    if back[0] < end.at:
        trial.down = back[0] - killed
    told = [
        at - killed for at, line in end.output if at > killed and _TOLD.search(line)
    ]
    trial.told = min(told, default=None)
    _note_end(trial, end, project)
    _sync(trial, project, outputs)
    return trial


def _kill_run(
    project: Measured,
    server: Server,
    case: Case,
    luck: Random,
    prepare: Prepare,
    outputs: Outputs,
) -> Trial | None:
    prepare()
    if case.changes:
        trial = Trial(luck.randint(1, case.changes))
        run = project.start("run", **_crash(project, trial.moment))
    else:
        trial = Trial(luck.uniform(0, NODES * case.seconds + _OPENING))
        run = project.start("run", **(_OFFLINE if case.offline else {}))
        if not _lives_until(project, run, trial.moment):
            return None
        run.kill()
    end = outputs["run"] = run.wait(120)
    if end.code == 0:
        return None
    trial.code, trial.said_finished = end.code, "' FINISHED after" in end.text
    _sync(trial, project, outputs)
    return trial


def _kill_sync(
    project: Measured,
    server: Server,
    case: Case,
    luck: Random,
    prepare: Prepare,
    outputs: Outputs,
) -> Trial | None:
    """Kill sync at a random request, or change of a file in the outbox."""
    with recorder(server.uri, latency=0.005) as proxy:
        prepare(proxy.uri)
        outputs["run"] = project.start("run", **_OFFLINE).wait(180)
        if case.changes:
            trial = Trial(luck.randint(1, case.changes))
            sync = project.start("mlflow", "sync", **_crash(project, trial.moment))
        else:
            trial = Trial(luck.randint(1, NODES * (_BULK + 1) + 8))
            sync = project.start("mlflow", "sync")
            while sync.is_alive and proxy.counts.total() < trial.moment:
                time.sleep(0.001)
            time.sleep(luck.uniform(0, 0.03))  # until the answer, or a bit more
            sync.kill()
        end = outputs["killed sync"] = sync.wait(120)
        if end.code >= 0:
            return None
        _sync(trial, project, outputs)
    return trial


def _crash(project: Measured, change: float) -> dict[str, str]:
    """Return variables with which a process kills itself at a change of a file."""
    folder = Path(__file__).with_name("crash")
    log = project.path / "changes.txt"
    log.unlink(missing_ok=True)
    numbers = {"CRASH_AT": f"{change:.0f}", "CRASH_LOG": str(log)}
    return {"PYTHONPATH": str(folder), **numbers}


def _lives_until(project: Measured, run: Process, moment: float) -> bool:
    """Wait for a moment after the beginning of a run; return whether it goes on."""
    wait_until(lambda: project.has_begun or not run.is_alive)
    time.sleep(moment)
    return run.is_alive


def _note_end(trial: Trial, end: Ended, project: Measured) -> None:
    trial.code, trial.hung = end.code, end.hung
    if truth := project.truth:
        trial.wait = end.at - truth[-1]["at"]


def _sync(trial: Trial, project: Measured, outputs: Outputs) -> None:
    """Send what waits: our own project's; the other has no command for it."""
    if project.name != OURS:
        return
    synced, ended = project.sync()
    outputs["sync"] = ended
    trial.hung = trial.hung or ended.hung
    trial.synced = [f"{each['state']} {each['message']}".strip() for each in synced]
    trial.left, trial.litter = len(project.outboxes), project.litter


def cases(only: str | None) -> Iterator[Case]:
    """Yield the kinds of trials, of one scenario or of all."""
    return (case for case in CASES if only in (None, case.scenario))
