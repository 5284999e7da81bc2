"""Build a release: the package of hooks and fleet command, and the notes of its page."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DIST = REPOSITORY / "dist"


def notes(changelog: str, version: str) -> str:
    """Return what CHANGELOG.md says of a version.

    Args:
        changelog: the text of CHANGELOG.md.
        version: without ``v``, such as ``1.2.3``.

    Raises:
        ValueError: it says nothing, or that the version is unreleased.
    """
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)
    for title, _, text in (section.partition("\n") for section in sections):
        if title.split(",")[0] != version:
            continue
        if "unreleased" in title:
            raise ValueError(
                f"CHANGELOG.md calls {version} unreleased; give it the day's date: "
                f"## {version}, 2026-12-31"
            )
        return text.strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no section '## {version}, <date>'.")


def main() -> None:
    """Write ``dist/``, for the version of the first argument."""
    version = sys.argv[1]
    try:
        text = notes((REPOSITORY / "CHANGELOG.md").read_text("utf-8"), version)
        project = (REPOSITORY / "pyproject.toml").read_text("utf-8")
        if f'\nversion = "{version}"\n' not in project:
            raise ValueError(f"pyproject.toml has another version than {version}.")
    except ValueError as error:
        raise SystemExit(f"No release: {error}") from None
    build = ["-m", "uv", "build", "--quiet", "--out-dir", str(DIST)]
    subprocess.run([sys.executable, *build], cwd=REPOSITORY, check=True)
    (DIST / "notes.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
