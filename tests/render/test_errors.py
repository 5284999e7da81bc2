"""Every error sentence of the code is on the page docs/troubleshooting.md."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tracking.config.options import ServerOptions
from tracking.errors import TrackingError
from tracking.server.oauth2 import OAuth2ClientCredentialsProvider
from tracking.server.offline import offline_mode
from tracking.server.uris import refuse_artifact_name, registry_uri

from scripts import errors
from scripts import generate as generated

PAGE = generated.TROUBLESHOOTING.read_text("utf-8")
_HOLE = r"{(?:[^{}]|{[^{}]*})*}"  # in an f-string

CODE = '''
_ELSEWHERE = "or name another place"

def check(path, count):
    reason = "is not a file" if path else f"has {count} files in it"
    raise TrackingError(f"{path} {reason}. Rename it, {_ELSEWHERE}.")

def explain(error):
    return f"The login failed: {why(error)}"

def why(error):
    """Say why, in the docstring."""
    if "no such host" in str(error):
        return "it does not answer"
    return "it says no to all"

def login(error, logger):
    logger.warning("%s runs are still there", 3)
    raise TrackingError(explain(error))
'''


def test_every_raised_sentence_is_on_the_page() -> None:
    """By its longest words up to a line's end, found in another way than for the page."""
    raised = r"raise (?:Tracking|Dataset|Fleet)Error\(\s*f?\"([^\"\\]+)\""
    fleet = (generated.REPOSITORY / "fleet").glob("*.py")
    files = [*generated.TRACKING.rglob("*.py"), *fleet]
    lines = [t for file in files for t in re.findall(raised, file.read_text("utf-8"))]
    found = [max(re.split(_HOLE, line), key=len).strip() for line in lines]
    assert len(found) > 100
    assert [words for words in found if words not in PAGE] == []


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: refuse_artifact_name("a#1.json"),
        lambda: registry_uri("localhost:5000", Path("/project")),
        OAuth2ClientCredentialsProvider,
        lambda: offline_mode(ServerOptions()),
    ],
    ids=["artifact", "address", "login", "offline"],
)
def test_message_that_a_user_sees_is_found_by_its_words(
    mistake: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "maybe")
    with pytest.raises(TrackingError) as seen:
        mistake()
    sentences = re.findall(r"^- `+(.*?)`+$", PAGE, re.M)
    patterns = [re.escape(text).replace("…", ".+") for text in sentences]
    found = [t for t in patterns if re.fullmatch(t, seen.value.message)]
    assert [t for t in found if len(t.replace(".+", "")) > 15], seen.value.message


def test_sentences_have_their_parts_from_names_conditions_and_calls(
    tmp_path: Path,
) -> None:
    (tmp_path / "code.py").write_text(CODE)
    found = {e.text: e.parts for e in errors.sentences([tmp_path], tmp_path)}
    assert found == {
        "… …. Rename it, or name another place.": [
            "is not a file",
            "has … files in it",
        ],
        "The login failed: …": ["it does not answer", "it says no to all"],
        "… runs are still there": [],
    }


def test_cause_of_a_sentence_that_is_gone_is_an_error() -> None:
    sentence = errors.Sentence("It does not answer.", "code.py", 1)
    notes = {"themes": {"All": ["code"]}, "causes": [{"words": "Gone", "cause": ""}]}
    notes["others"] = []
    with pytest.raises(ValueError, match="explains what no code says: .'Gone'"):
        errors.page([sentence], notes)
