"""Write what is generated: the JSON schema of mlflow.yml, the template's checksums."""

import json
import sys
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"
TRACKING = TEMPLATE / "src" / "{{ python_package }}" / "tracking"
SCHEMA = TEMPLATE / "conf" / "mlflow.schema.json"

sys.path.insert(0, str(TRACKING.parent))


def schema() -> str:
    """Give the schema of ``mlflow.yml``, from its models."""
    from tracking.config import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def checksums() -> str:
    """Give the checksums of the template's own files, as they lie in a project."""
    from tracking.template import manifest

    return manifest(TRACKING, {"../../../conf/mlflow.schema.json": SCHEMA})


if __name__ == "__main__":
    from tracking.template import MANIFEST

    SCHEMA.write_text(schema(), "utf-8", newline="\n")
    (TRACKING / MANIFEST).write_text(checksums(), "utf-8", newline="\n")
