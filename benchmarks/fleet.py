"""Update 60 projects of five releases with one command, and keep what has come of it.

Writes ``results/fleet.json``:

- ``projects``: bare repositories, each with some of the edits of ``tests/update/edits.py``.
- ``current``, ``updated``, ``draft``, ``named``: how many ended so; ``conflicts`` and
  ``guarded``: drafts because of a conflict, and because a line would be gone.
- ``lost``: lines that a project had added and that are neither in its branch nor in a file
  that the outcome names.
- ``seconds``: of ``kedro-mlflow-fleet update``, all of it, for each project that lacked the
  version; ``alone``: of ``copier update`` of these and nothing else, as many at once.
- ``cpu`` and ``cpu_alone``: the same of the processors, which other work on the machine does
  not change much; ``ratio``: of these two.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fleet.laboratory import ENV, Laboratory
from tests.releases import git
from tests.update.edits import PROJECT_EDITS, RENAME, TEMPLATE_CHANGES

RESULTS = Path(__file__).parent / "results" / "fleet.json"
RELEASES = 5
VERSIONS = [f"v0.{number}.0" for number in range(1, RELEASES + 1)]


def main() -> None:
    """Build the fleet, update it both ways, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet")
    parser.add_argument("--projects", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        lab = Laboratory(Path(folder))
        _release(lab)
        addresses = _projects(lab, options.projects)
        lab.write(addresses)
        behind = [a for n, a in enumerate(addresses, 1) if n % RELEASES]
        alone = _cost(lambda: _alone(lab, behind, options.jobs))
        words = ["update", VERSIONS[-1], "--ring", "1", "--jobs", str(options.jobs)]
        fleet = _cost(lambda: print(lab.command(*words).stdout))
        found = lab.outcomes(VERSIONS[-1])
        lost = [line for name in lab.before for line in lab.lost(name, found[name])]
    print(*lost, sep="\n")
    results = Counter(outcome["result"] for outcome in found.values())
    reasons = ["\n".join(outcome["reasons"]) for outcome in found.values()]
    figures = {
        "projects": len(found),
        **{name: results[name] for name in ("current", "updated", "draft", "named")},
        "conflicts": sum(
            "both sides" in r or " in the template;" in r for r in reasons
        ),
        "guarded": sum("the update has taken" in reason for reason in reasons),
        "lost": len(lost),
        "jobs": options.jobs,
        "seconds": round(fleet[0] / len(behind), 2),
        "alone": round(alone[0] / len(behind), 2),
        "cpu": round(fleet[1] / len(behind), 2),
        "cpu_alone": round(alone[1] / len(behind), 2),
        "ratio": round(fleet[1] / alone[1], 2),
    }
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(json.dumps(figures, indent=2))


def _release(lab: Laboratory) -> None:
    """Release five versions; each but the first has a share of the changes."""
    changes = [change for change in TEMPLATE_CHANGES if change is not RENAME]
    for number, version in enumerate(VERSIONS):
        for change in changes[number - 1 :: RELEASES - 1] if number else ():
            change.apply(lab.template)
        lab.template.release(version)


def _projects(lab: Laboratory, count: int) -> list[str]:
    """Publish projects of all releases; every third one is not edited."""
    chance = random.Random(1)
    addresses = []
    for number in range(count):
        project = lab.start(f"p{number:02}", VERSIONS[number % RELEASES])
        for edit in chance.sample(PROJECT_EDITS, 3) if number % 3 else ():
            edit.apply(project)
        addresses.append(lab.publish(f"p{number:02}", project))
    return addresses


def _alone(lab: Laboratory, addresses: list[str], jobs: int) -> None:
    """Update a clone of each project with copier, and do nothing else."""
    clones = []
    for address in addresses:
        clone = lab.folder / "alone" / Path(address).stem
        git(lab.folder, "clone", "-q", address, str(clone))
        clones.append(clone)

    def update(clone: Path) -> None:
        words = ["update", "--defaults", "--quiet", "--vcs-ref", VERSIONS[-1]]
        command = [sys.executable, "-m", "copier", *words]
        subprocess.run(command, cwd=clone, env=ENV, capture_output=True, check=False)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(update, clones))


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that work takes, and those of the processors."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


if __name__ == "__main__":
    main()
