"""Run a migration: the name of a module here, with dashes, and its arguments."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    template = Path(__file__).parents[2]
    source = template / "template" / "src" / "{{ python_package }}"
    sys.path[:0] = [str(template), str(source)]
    name, *arguments = sys.argv[1:]
    migration = import_module(f"hooks.migrations.{name.replace('-', '_')}")
    raise SystemExit(migration.main(*arguments))
