"""What Snakemake's report is made of: the overview first, and nothing without caption, category and label."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RULES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk"))}
ENTRIES = [
    (name, match.group(0))
    for name, text in RULES.items()
    for match in re.finditer(r"=report\(.*?\n        \),", text, re.DOTALL)
]
OWN = {"Workflow", "Statistics"}
"""Names that Snakemake's report has already: a category of that name puts an error into every caption."""


def test_the_overview_is_the_first_category_of_the_report() -> None:
    categories = {found for text in RULES.values() for found in re.findall(r'\bcategory="([^"]+)"', text)}
    assert min(categories, key=str.casefold) == "Overview"
    assert not categories & OWN


@pytest.mark.parametrize(("file", "entry"), ENTRIES, ids=[re.sub(r"\W+", "_", entry[8:70]) for _, entry in ENTRIES])
def test_every_entry_has_caption_category_and_label(file: str, entry: str) -> None:
    caption = re.search(r'caption="\.\./report/([a-z_]+\.rst)"', entry)
    assert caption, f"{file}: an entry of the report has no caption"
    assert (ROOT / "report" / caption.group(1)).read_text(encoding="utf-8").strip()
    assert re.search(r'category="[A-Z]', entry)
    assert re.search(r'labels=\{"[a-z]+": "[a-z]', entry)


def test_every_caption_is_used_and_the_welcome_leads_to_every_category() -> None:
    used = set(re.findall(r"report/([a-z_]+\.rst)", "".join(RULES.values())))
    assert {path.name for path in (ROOT / "report").glob("*.rst")} == used | {"workflow.rst"}
    welcome = (ROOT / "report" / "workflow.rst").read_text(encoding="utf-8")
    categories = {found for text in RULES.values() for found in re.findall(r'\bcategory="([^"]+)"', text)}
    # A category that not every study has is no link: where it is missing, the link would be an error on the page.
    assert set(re.findall(r"`([^`]+)`_", welcome)) == categories - {"Training data"}
    assert "**Training data**" in welcome
