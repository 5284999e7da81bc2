"""What looks like a secret stops a commit, and little else does."""

import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from hooks.secret_files import main as secret_files

Scan = Callable[..., list[int]]
_chance = random.Random(3)
LETTERS, HEX = string.ascii_letters + string.digits, "0123456789abcdef"
UPPER, DIGITS = string.ascii_uppercase + "234567", string.digits


def some(count: int, letters: str = LETTERS) -> str:
    """Return letters of no secret of anybody's."""
    return "".join(_chance.choices(letters, k=count))


PLANTED = [
    f"token: ghp_{some(36)}",
    f"x: github_pat_{some(22)}_{some(59)}",
    f"note: gho_{some(36)}",
    f"x: glpat-{some(20)}",
    f"key: AKIA{some(16, UPPER)}",
    f"aws_secret_access_key: {some(40)}",
    f"x: ASIA{some(16, UPPER)}",
    f"x: dapi{some(32, HEX)}",
    f"x: xoxb-{some(12, DIGITS)}-{some(12, DIGITS)}-{some(24)}",
    f"url: https://hooks.slack.com/services/T{some(8, UPPER)}/B{some(8, UPPER)}/{some(24)}",
    f"x: sk-{some(20)}T3BlbkFJ{some(20)}",
    f"x: sk-proj-{some(48)}",
    f"x: sk-ant-api03-{some(60)}",
    f"x: hf_{some(34)}",
    f"x: AIza{some(35)}",
    f"x: sk_live_{some(24)}",
    f"x: npm_{some(36)}",
    f"x: pypi-AgEIcHlwaS5vcmc{some(70)}",
    "x: eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    'x: "-----BEGIN RSA PRIVATE KEY-----MIIEow"',
    'x: "-----BEGIN OPENSSH PRIVATE KEY-----b3Bl"',
    "uri: https://me:hunter2@mlflow.example.com",
    "uri: postgresql://mlflow:s3cret@db:5432/mlflow",
    f"_src_path: https://ghp_{some(36)}@github.com/a/b.git",
    f"_src_path: https://oauth2:{some(20)}@gitlab.com/a/b.git",
    f"uri: https://{some(20)}@git.example.com/a.git",
    "password: hunter2",
    "db_password: Tr0ub4dor&3",
    "passphrase: correct horse",
    "client_secret: 9f8s7d6f",
    "api_key: abc123def456",
    "token: t0k3n-value",
    f"x: DefaultEndpointsProtocol=https;AccountName=a;AccountKey={some(86)}==;EndpointSuffix=core.windows.net",
    f"url: https://a.blob.core.windows.net/c?sv=2022&sig={some(43)}%3D",
    f"header: Bearer {some(32)}",
    f"x: SG.{some(22)}.{some(43)}",
    f"x: SK{some(32, HEX)}",
    f"x: 110201543:AA{some(33)}",
]
HARMLESS = [
    "password: ${oc.env:DB_PASSWORD}",
    "token: MLFLOW_TRACKING_TOKEN",
    "credentials: mlflow",
    "mlflow_tracking_uri: https://mlflow.example.com",
    "u: sqlite:///mlflow.db",
    "u: postgresql://mlflow@db/mlflow",
    f"id: {some(32, HEX)}",
    f"rev: {some(40, HEX)}",
    f"digest: {some(64, HEX)}",
    "id: 123e4567-e89b-12d3-a456-426614174000",
    "max_tokens: 4096",
    "tokenizer: bert-base-uncased",
    'pad_token: "<pad>"',
    "password: null",
    'token: ""',
    "type: pkg.tracking.OAuth2ClientCredentialsProvider",
    "issuer: https://login.example.com",
    "secret_file: /run/secrets/token",
    "ui: {port: 5050}",
    "name: penguin_classifier",
    "description: The password is in the vault",
    "version: v0.3.0",
    "filepath: data/01_raw/penguins.csv",
    "token_url: https://login.example.com/oauth/token",
    "u: git@github.com:org/repo.git",
    "scope: api://mlflow/.default",
    "k: aaaaaaaaaaaaaaaaaaaaaaaa",
    "package: numpy==2.1.0",
    'color: "#a1b2c3"',
    "n_token_ids: 3",
]


@pytest.fixture
def found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Scan:
    monkeypatch.chdir(tmp_path)

    def scan(*lines: str, name: str = "conf.yml") -> list[int]:
        """Return the numbers of the lines that are named."""
        Path(name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        code = secret_files([name])
        said = capsys.readouterr().err.splitlines()
        assert code == (1 if said else 0)
        return [int(sentence.split(":")[1]) for sentence in said]

    return scan


def test_of_38_secrets_and_30_harmless_values_few_are_mistaken(found: Scan) -> None:
    assert (len(PLANTED), len(HARMLESS)) == (38, 30)
    named = set(found(*PLANTED))
    missed = [line for number, line in enumerate(PLANTED, 1) if number not in named]
    flagged = [HARMLESS[number - 1] for number in found(*HARMLESS)]
    assert len(missed) <= 3, missed
    assert len(flagged) <= 3, flagged


def test_the_address_of_the_template_with_a_token_is_found(found: Scan) -> None:
    line = f"_src_path: https://oauth2:{some(20)}@gitlab.com/a/b.git"
    assert found("_commit: v0.1.0", line, name=".copier-answers.yml") == [2]


def test_a_line_or_a_file_is_accepted(found: Scan) -> None:
    lines = ["password: hunter2  # pragma: allowlist secret", "passphrase: two words"]
    assert found(*lines) == [2]
    assert secret_files(["--accept", "conf.yml"]) == 0
    assert found(*lines) == []
    assert "two words" not in Path(".secrets.baseline").read_text("utf-8")
    assert found(*lines, "api_key: abc123def456") == [3]
    assert found("password = input()", "token: str = get()", name="run.py") == []
