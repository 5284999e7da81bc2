"""The records of decisions and their index."""

import re

from tests.conftest import TEMPLATE

FOLDER = TEMPLATE / "docs/decisions"
RECORDS = sorted(FOLDER.glob("0*.md"))


def test_every_record_has_title_date_status_and_three_parts() -> None:
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert len(set(numbers)) == len(RECORDS) > 40
    for number, record in zip(numbers, RECORDS, strict=True):
        title, _, state, *_ = (text := record.read_text("utf-8")).split("\n")
        assert title.startswith(f"# {number}. ")
        assert re.fullmatch(r"Date: \d{4}-\d\d-\d\d\. Status: .+\.", state), record.name
        parts = ["Context", "Decision", "Consequences"]
        assert re.findall(r"^## (.+)$", text, re.M) == parts, record.name


def test_index_has_number_title_and_status_of_every_record() -> None:
    row = r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \| .+ \| (.+?) \|$"
    rows = re.findall(row, (FOLDER / "index.md").read_text("utf-8"), re.M)
    expected = []
    for record in RECORDS:
        text = record.read_text("utf-8")
        title = re.findall(r"^# \d+\. (.+)$", text, re.M)[0]
        status = re.findall(r"^Date: .+ Status: (.+)\.$", text, re.M)[0]
        expected.append((record.name[:4], record.name, title, status))
    assert rows == expected
