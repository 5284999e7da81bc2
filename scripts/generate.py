"""Write what is generated: the schema of mlflow.yml, pages of the docs, checksums."""

import json
import sys
from pathlib import Path

import yaml

from . import reference

REPOSITORY = Path(__file__).parents[1]
TEMPLATE = REPOSITORY / "template"
TRACKING = TEMPLATE / "src" / "{{ python_package }}" / "tracking"
SCHEMA = TEMPLATE / "conf" / "mlflow.schema.json"
PAGES = REPOSITORY / "docs" / "reference"

sys.path.insert(0, str(TRACKING.parent))


def schema() -> str:
    """Give the schema of ``mlflow.yml``, from its models."""
    from tracking.config.rendering import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def pages() -> dict[Path, str]:
    """Give the pages of the reference, by their paths."""
    from tracking.config.options import KedroMlflowConfig

    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))
    return {
        PAGES / "mlflow-yml.md": reference.mlflow_yml(KedroMlflowConfig),
        PAGES / "answers.md": reference.answers(questions),
    }


def checksums() -> str:
    """Give the checksums of the template's own files, as they lie in a project."""
    from tracking.template.drift import manifest

    return manifest(TRACKING, {"../../../conf/mlflow.schema.json": SCHEMA})


if __name__ == "__main__":
    from tracking.template.drift import MANIFEST

    SCHEMA.write_text(schema(), "utf-8", newline="\n")
    for page, text in pages().items():
        page.write_text(text, "utf-8", newline="\n")
    (TRACKING / MANIFEST).write_text(checksums(), "utf-8", newline="\n")
