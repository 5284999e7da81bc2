"""Write generated files: mlflow.yml and its schema, pages of the docs, checksums."""

import json
import sys
from pathlib import Path

import yaml

from . import errors, reference

REPOSITORY = Path(__file__).parents[1]
TEMPLATE = REPOSITORY / "template"
TRACKING = TEMPLATE / "src" / "{{ python_package }}" / "tracking"
SCHEMA = TEMPLATE / "conf" / "mlflow.schema.json"
PAGES = REPOSITORY / "docs" / "reference"
TROUBLESHOOTING = REPOSITORY / "docs" / "troubleshooting.md"

MLFLOW_YML = TEMPLATE / "conf" / "base" / "mlflow.yml.jinja"

PROVIDER = "server.request_header_provider"
ANSWERS = {
    "tracking.params.dict_params.flatten": "{{ flatten_params | lower }}",
    "server.credentials": "{{ 'null' if tracking_login == 'none' else 'mlflow' }}",
    f"{PROVIDER}.type": """\
{% if tracking_login == 'oauth2' %}{{ python_package }}.tracking.OAuth2ClientCredentialsProvider
    {%- elif tracking_login == 'custom' %}{{ python_package }}.request_headers.CustomRequestHeaderProvider
    {%- else %}null{% endif %}""",
    f"{PROVIDER}.pass_context": "{{ (tracking_login == 'custom') | lower }}",
    f"{PROVIDER}.init_kwargs": """\
{%- if tracking_login == 'oauth2' %}

      # The identity provider; or its token_url, where it cannot be discovered.
      issuer: https://login.example.com

      # What the token is for: ask whoever runs the provider which of the two it takes.
      scope: null
      audience: null
    {%- elif tracking_login == 'custom' %}
      variable: MLFLOW_GATEWAY_TOKEN
    {%- else %} {}{% endif %}""",
}
"""Values in ``conf/base/mlflow.yml`` that depend on answers to copier, by key."""

sys.path.insert(0, str(TRACKING.parent))


def schema() -> str:
    """Return the schema of ``mlflow.yml``, from its models."""
    from tracking.config.rendering import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def mlflow_yml() -> str:
    """Return the template of ``conf/base/mlflow.yml``, from its models and ``ANSWERS``."""
    from tracking.config.rendering import documented_yaml

    note = (
        "{#- Written by 'make generated'; edit tracking/config/options.py instead. -#}"
    )
    return f"{note}\n{documented_yaml(ANSWERS)}"


def pages() -> dict[Path, str]:
    """Return the pages of the reference and of all errors, by their paths."""
    from tracking.config.options import KedroMlflowConfig

    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))
    notes = yaml.safe_load((Path(__file__).parent / "errors.yml").read_text("utf-8"))
    return {
        PAGES / "mlflow-yml.md": reference.mlflow_yml(KedroMlflowConfig),
        PAGES / "answers.md": reference.answers(questions),
        TROUBLESHOOTING: errors.page(sentences(), notes),
    }


def sentences() -> list[errors.Sentence]:
    """Return every error and warning of the project's code, the hooks and the fleet."""
    folders = [TRACKING, REPOSITORY / "hooks", REPOSITORY / "fleet"]
    return errors.sentences(folders, REPOSITORY)


def checksums() -> str:
    """Return the checksums of the files that the template owns in a project."""
    from tracking.template.drift import manifest

    listed: str = manifest(TRACKING, {"../../../conf/mlflow.schema.json": SCHEMA})
    return listed


if __name__ == "__main__":
    from tracking.template.drift import MANIFEST

    SCHEMA.write_text(schema(), "utf-8", newline="\n")
    MLFLOW_YML.write_text(mlflow_yml(), "utf-8", newline="\n")
    for page, text in pages().items():
        page.write_text(text, "utf-8", newline="\n")
    (TRACKING / MANIFEST).write_text(checksums(), "utf-8", newline="\n")
