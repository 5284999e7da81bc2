"""The update of many repositories at once, which can be interrupted and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock

from tracking.redaction import without_secrets

from .errors import FleetError
from .git import remote_branches
from .job import Job
from .outcome import Outcome, read


def run(
    jobs: Sequence[Job], at_once: int, say: Callable[[str], None]
) -> Iterator[Outcome]:
    """Do jobs in processes of their own, and yield each outcome as soon as it is there.

    Args:
        jobs: the repositories; one that has a finished record is not done again.
        at_once: how many run at the same time.
        say: is told the repository of each job that starts.
    """
    workers = _Workers(say)
    with ThreadPoolExecutor(at_once) as pool:
        waiting = {pool.submit(workers.do, job) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            workers.stop()


class _Workers:
    """The processes that are running, so that Ctrl-C ends them and starts no other."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()
        self._stopped = Event()

    def do(self, job: Job) -> Outcome:
        """Do a job, unless a finished record says that it is done."""
        record = read(Path(job.record))
        if record and not job.dry_run and _holds(record, job):
            return record
        with TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as folder:
            Path(job.record).unlink(missing_ok=True)
            code, said = self._work(replace(job, clone=f"{folder}/clone"), folder)
        outcome = read(Path(job.record))
        if outcome is None:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            reason = f"The update has died with exit code {code}: {last}."
            return Outcome(job.repository, "named", [without_secrets(reason)])
        return outcome

    def _work(self, job: Job, cache: str) -> tuple[int, str]:
        with self._lock:
            if self._stopped.is_set():
                return 1, "it was interrupted"
            self._say(job.repository)
            process = subprocess.Popen(
                [sys.executable, "-m", "fleet.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={
                    **os.environ,
                    "COPIER_CACHE_DIR": cache,  # updates at once do not share one
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
                start_new_session=True,  # Ctrl-C is ours, and ends all of its children
            )
            self._running.add(process)
        said = process.communicate(json.dumps(asdict(job)))[1]
        with self._lock:
            self._running.discard(process)
        return process.returncode, said

    def stop(self) -> None:
        """End every process, and start no other."""
        with self._lock:
            self._stopped.set()
            for process in self._running:
                if sys.platform == "win32":
                    process.terminate()
                else:  # with all that it has started
                    os.killpg(process.pid, signal.SIGTERM)


def _holds(record: Outcome, job: Job) -> bool:
    """Whether a repository is still as its record says: its branch may be gone."""
    if record.result not in ("updated", "draft"):
        return record.result == "current"  # what was named may have been put right
    try:
        return job.branch in remote_branches(job.repository)
    except FleetError:
        return True
