"""One process for each repository: copier changes the working directory of all threads.

Reads a job as JSON, and writes the record of its outcome.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from .errors import FleetError
from .forge import connect
from .job import Job
from .outcome import Outcome, write
from .request import title_and_body
from .update import last_line, update


def main() -> None:
    """Do the job that stands on stdin."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so a check ends too
    job = Job(**json.load(sys.stdin))
    try:
        outcome = update(job)
        if outcome.branch and job.forge:
            title, body = title_and_body(job, outcome)
            draft = outcome.result == "draft"
            forge = connect(job.forge)
            outcome.request = forge.request(
                job.repository, job.branch, title, body, draft=draft
            )
    except FleetError as error:
        outcome = Outcome(job.repository, "named", [error.message])
    except Exception as error:  # this project's failure is no other's
        reason = f"{type(error).__name__}: {last_line(error)}"
        outcome = Outcome(job.repository, "named", [reason])
    outcome.log = str(job.log) if job.log.is_file() else ""
    write(outcome, Path(job.record))


if __name__ == "__main__":
    main()
