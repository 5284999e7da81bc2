"""The page on logging in says what is so, and its recipes hold."""

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)
from tracking.config.options import KedroMlflowConfig
from tracking.server.credentials import credential_variables
from tracking.server.oauth2 import OAuth2ClientCredentialsProvider

from tests.conftest import TEMPLATE, Render

PAGE = (TEMPLATE / "docs/login.md").read_text("utf-8")
RECIPES = sorted((TEMPLATE / "docs/login").iterdir())
CODE = [recipe for recipe in RECIPES if recipe.suffix == ".py"]
CONFIGURATION = [recipe for recipe in RECIPES if recipe.suffix == ".yml"]


def name(path: Path) -> str:
    return path.name


def the_class(file: Path) -> type:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CustomRequestHeaderProvider


@pytest.mark.parametrize("recipe", [*CODE, *CONFIGURATION], ids=name)
def test_page_quotes_the_recipe(recipe: Path) -> None:
    language = {".py": "python", ".yml": "yaml"}[recipe.suffix]
    assert f"```{language}\n{recipe.read_text('utf-8')}```" in PAGE


@pytest.mark.parametrize("recipe", CODE, ids=name)
def test_recipe_is_a_header_provider_with_these_arguments(recipe: Path) -> None:
    kind = the_class(recipe)
    assert issubclass(kind, RequestHeaderProvider)
    assert not inspect.isabstract(kind)
    section = PAGE.partition(f"(login/{recipe.name})")[2].partition("\n##")[0]
    kwargs = yaml.safe_load(re.findall("```yaml\n(.*?)```", section, re.S)[0])
    inspect.signature(kind).bind(**kwargs["init_kwargs"])


def test_azure_recipe_builds_without_a_login() -> None:
    assert the_class(TEMPLATE / "docs/login/azure.py")(scope="api://x/.default")


@pytest.mark.slow
def test_types_of_the_recipes_hold(render: Render) -> None:
    own = render() / "src/penguin_classifier/request_headers.py"
    words = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--strict"]
    words += ["--allow-subclassing-any", "--allow-untyped-calls"]
    words += [f"--cache-dir={TEMPLATE / '.mypy_cache'}"]
    for file in (*CODE, own):
        done = subprocess.run(
            [*words, str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("recipe", CONFIGURATION, ids=name)
def test_configuration_of_a_recipe_is_valid(recipe: Path) -> None:
    mlflow_yml, credentials = yaml.safe_load_all(recipe.read_text("utf-8"))
    server = KedroMlflowConfig.model_validate(mlflow_yml).server
    assert credential_variables(
        server.credentials, credentials, OmegaConfigLoader("conf")
    )
    if server.request_header_provider.type:
        OAuth2ClientCredentialsProvider(**server.request_header_provider.init_kwargs)


def test_page_names_every_argument_with_its_default() -> None:
    section = PAGE.partition("## Tokens that expire")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S*?) ?\|", section, re.M)
    parameters = inspect.signature(OAuth2ClientCredentialsProvider).parameters
    assert [key for key, _ in rows] == list(parameters)
    for key, default in rows:
        shown = default.strip("`") or "null"
        assert yaml.safe_load(shown) == parameters[key].default


@pytest.mark.parametrize("login", ["basic", "token", "oauth2"])
def test_page_names_the_variables_of_the_stub(render: Render, login: str) -> None:
    stub = render(tracking_login=login) / "conf/local/credentials.yml"
    variables = yaml.safe_load(stub.read_text())["mlflow"]
    row = re.findall(rf"^\|.*\| `{login}` \|(.*)\|$", PAGE, re.M)
    assert [set(re.findall("`(.*?)`", text)) for text in row] == [set(variables)]


def test_only_oauth2_needs_an_oauth_library(render: Render) -> None:
    for login in ("none", "basic", "token", "oauth2", "custom"):
        project = render(tracking_login=login) / "pyproject.toml"
        assert ("authlib" in project.read_text()) == (login == "oauth2")
