"""The manifests of the pages have only what Kubernetes and Argo know."""

import copy
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hera.workflows.models import Workflow

from tests.conftest import TEMPLATE

PAGES = ("orchestrators.md", "orchestrators/kubernetes.md")
VERSIONS = ("1.30", "1.37")  # of Kubernetes


def manifests(kind: str) -> list[dict[str, Any]]:
    """Return the manifests of a kind, from the pages."""
    texts = [(TEMPLATE / "docs" / page).read_text("utf-8") for page in PAGES]
    blocks = re.findall(r"```yaml\n(.*?)```", "\n".join(texts), re.S)
    return [m for block in blocks if (m := yaml.safe_load(block)).get("kind") == kind]


def is_known(workflow: dict[str, Any]) -> bool:
    """Whether Argo's types, which hera generates, have each field of a workflow."""
    known = Workflow.model_validate(workflow)
    return bool(
        known.model_dump(mode="json", by_alias=True, exclude_unset=True) == workflow
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_jobs_are_valid(version: str) -> None:
    jobs = manifests("Job")
    assert len(jobs) == 2
    for job in jobs:
        kubernetes_validate.validate(job, version, strict=True)
        del job["spec"]["template"]["spec"]["containers"][0]["name"]
        with pytest.raises(kubernetes_validate.ValidationError, match="'name'"):
            kubernetes_validate.validate(job, version, strict=True)


def test_workflow_is_valid() -> None:
    (workflow,) = manifests("Workflow")
    assert is_known(workflow)
    (container,) = [
        t["container"] for t in workflow["spec"]["templates"] if "container" in t
    ]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "of-a-task"}}
    pod["spec"] = {"containers": [{"name": "main", **container}]}
    kubernetes_validate.validate(pod, VERSIONS[-1], strict=True)
    for mistake in ("retries", "env"):  # no field of a template
        wrong = copy.deepcopy(workflow)
        wrong["spec"]["templates"][0][mistake] = []
        assert not is_known(wrong)


def test_workflow_names_only_what_is_there() -> None:
    (workflow,) = manifests("Workflow")
    spec = workflow["spec"]
    templates = {template["name"]: template for template in spec["templates"]}
    tasks = templates[spec["entrypoint"]]["dag"]["tasks"]
    steps = [step for steps in templates[spec["onExit"]]["steps"] for step in steps]
    assert {step["template"] for step in [*tasks, *steps]} <= templates.keys()
    assert {t["depends"] for t in tasks if "depends" in t} <= {t["name"] for t in tasks}
