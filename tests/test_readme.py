"""The README says what is so: its commands exist, its figures are generated, its error texts are the project's."""

import re
from pathlib import Path

import pytest

from shared import twins
from shared.config import Settings
from shared.contract import CONTRACT
from shared.lab.claims.catalogue import CLAIMS
from shared.report.export import MARKUP

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SOURCES = "\n".join(path.read_text("utf-8") for path in (ROOT / "shared").rglob("*.py"))


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    code = "\n".join(re.findall(r"`[^`]+`|```.*?```", README, re.S))
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)\b", code)) <= targets


def test_figures_of_the_twins_are_those_of_the_files() -> None:
    extents = [extent for extent in twins.extents() if extent.file.kind == "twin"]
    differing, total = sum(extent.differing for extent in extents), sum(extent.total for extent in extents)
    assert re.search(rf"^twins +{differing} of {total}\b", README, re.M)
    for extent in twins.extents():
        name, kind = re.escape(extent.file.name), extent.file.kind
        assert re.search(rf"^{name} +{kind} +{extent.differing} of {extent.total}\b", README, re.M), extent


def test_diff_shown_is_the_diff_of_the_endpoints() -> None:
    shown = re.search(r"```diff\n(.*?)```", README, re.S)
    assert shown is not None
    editions = {
        "<": (ROOT / "asgi_app/endpoints.py").read_text("utf-8").splitlines(),
        ">": (ROOT / "wsgi_app/endpoints.py").read_text("utf-8").splitlines(),
    }
    lines = [line for line in shown[1].splitlines() if line[:1] in editions]
    assert len(lines) > 4
    for line in lines:
        assert line[2:] in editions[line[0]]


@pytest.mark.parametrize("text", re.findall(r"^\| `([^`]+)` \|", README.partition("## Troubleshooting")[2], re.M))
def test_troubleshooting_quotes_real_messages(text: str) -> None:
    if text.startswith("urn:"):
        assert f'"{text.rpartition(":")[2]}"' in SOURCES
        return
    # A message is put together from constant parts; the first words of it must stand in the source.
    words = max(re.split(r"…|\d[\d.:]*|[A-Z_]{4,}", text), key=len).strip()
    assert len(words) > 10
    assert words in SOURCES


def test_settings_named_exist() -> None:
    known = {name.upper() for name in Settings.model_fields} | {"PROMETHEUS_MULTIPROC_DIR"}
    prose = re.sub(r"```diff.*?```", "", README, flags=re.S)
    named = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", prose))
    assert named <= known


def test_endpoints_named_exist() -> None:
    paths = {re.sub(r"[?{].*", "", endpoint.path) for endpoint in CONTRACT}
    named = {re.sub(r"[?].*", "", path) for path in re.findall(r"`(/[a-z/.]+[^`]*)`", README)}
    assert named <= paths


def test_list_of_verdicts_is_that_of_the_catalogue() -> None:
    """Every claim with its number and statement; a verdict is a run's, whose date and machine stand below."""
    listed = re.search(r"<!-- claims: what .* -->\n(.*?)<!-- claims: end -->", README, re.S)
    assert listed is not None
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in listed[1].splitlines() if line.startswith("| C")]
    assert [tuple(row[:2]) for row in rows] == [(claim.name, claim.statement.translate(MARKUP)) for claim in CLAIMS]
    assert {row[-1] for row in rows} <= {"confirmed", "refuted", "depends", "undecided"}
    assert re.search(r"^\d+ claims?: .*\. \d{4}-\d\d-\d\dT\S+, .+ processors, .+ commit ", listed[1], re.M)
