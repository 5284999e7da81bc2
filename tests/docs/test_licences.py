"""The page of licences counts what is installed, and names copyleft."""

import re

from scripts.licences import PAGE, page

FACTS = {"python": "3.13", "system": "linux", "mlflow": "3", "dev": 1}
FACTS |= {"components": 4, "cyclonedx": "1.6"}


def test_spellings_of_a_licence_are_one_and_copyleft_is_named() -> None:
    licences = {
        "a": "MIT License",
        "b": "MIT",
        "c": "Mozilla Public License 2.0 (MPL 2.0)",
        "d": "UNKNOWN",
    }
    packages = [{"Name": name, "License": text} for name, text in licences.items()]
    text = page(packages, FACTS)
    assert "| MIT | 2 | a, b |" in text
    assert "| none in the metadata | 1 | d |" in text
    assert "several: c (Mozilla Public License 2.0 (MPL 2.0))." in text


def test_rows_of_the_page_add_up() -> None:
    text = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| (.+) \|$", text, re.M)
    for number, names in rows:
        assert int(number) == len(names.split(", "))
    (total,) = re.findall(r"^(\d+) packages on", text, re.M)
    assert int(total) == sum(int(number) for number, _ in rows) > 50
