"""Try updates of edited projects, by default 500, and keep what has come of them.

Writes ``results/updates.json``:

- ``tried``: updates by ``copier update``, each of another project.
- ``clean``: nothing was left to decide.
- ``settled``: git saw a conflict, which ``merge-config`` resolved.
- ``conflicted``: project and template had changed the same thing.
- ``refused``: stopped before anything was touched, at a folder that was a link out of
  the project; the update went on without the link.
- ``ran``: of all, those whose pipeline was run afterwards; the others load their
  configuration.
- ``lost``: an edit was missing, or another rule of the test was broken.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
NAMES = ["tried", "clean", "settled", "conflicted", "refused", "ran", "lost"]
UPDATES = int(sys.argv[1]) if len(sys.argv) > 1 else 500
SHARES = 5


def main() -> int:
    """Divide the updates among processes; the exit code is that of the tests."""
    with TemporaryDirectory() as folder:
        env = {
            **os.environ,
            "UPDATES": str(UPDATES),
            "UPDATES_SHARES": str(SHARES),
            "UPDATES_FIGURES": folder,
        }
        command = [sys.executable, "-m", "pytest", "-n", str(SHARES)]
        command += ["tests/update/test_property.py"]
        done = subprocess.run(command, cwd=HERE.parent, env=env, check=False)
        total = Counter[str]()
        for share in Path(folder).glob("*.json"):
            total.update(json.loads(share.read_text("utf-8")))
    figures = {name: total[name] for name in NAMES}
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    text = json.dumps(figures, indent=2) + "\n"
    (results / "updates.json").write_text(text, "utf-8")
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
