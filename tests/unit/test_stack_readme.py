"""README says only what is true: its tests, targets, variables, commands, settings and files exist."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from closingbell import cli
from closingbell.settings import REPOSITORY, Settings

README = (REPOSITORY / "README.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()


def test_every_test_it_names_exists() -> None:
    here = {
        name
        for path in (REPOSITORY / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", README))
    assert len(named) > 20
    assert named <= here, sorted(named - here)


def test_it_counts_the_tests_that_make_test_leaves_out() -> None:
    left_out = sum(path.read_text().count("\n@pytest.mark.soak\n") for path in (REPOSITORY / "tests").rglob("*.py"))
    assert left_out == 4
    assert "every test but the four that make soak runs" in README


def test_every_setting_is_in_its_table_with_its_default() -> None:
    table = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (?:`(.*?)`)? \|", README.split("<!-- settings")[1], re.M))
    for name, field in Settings.model_fields.items():
        default = "" if field.default in ("", None) else str(field.default).replace(f"{REPOSITORY}/", "")
        assert table.get(name.upper()) == default, name
    assert set(table) == {name.upper() for name in Settings.model_fields}


def test_every_target_and_variable_it_names_is_the_makefiles() -> None:
    found = re.findall(r"^make ([a-z]+)|`make ([a-z]+)", README, re.M)
    targets = {name for pair in found for name in pair if name}
    assert targets >= {"demo", "test", "up", "down", "bench", "soak"}
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.M), target
    table = README.split("| variable |")[1].split("\n\n")[0]
    for variable in re.findall(r"`([A-Z_]+)`", " ".join(line.split("|")[1] for line in table.splitlines()[2:])):
        assert re.search(rf"^{variable} \?=", MAKEFILE, re.M), variable


def test_every_command_it_names_exists() -> None:
    known = set(get_command(cli.app).commands)
    for line in re.findall(r"closingbell ((?:[a-z][a-z-]*(?: \| )?)+)", README):
        assert {name.strip().split(" ")[0] for name in line.split("|")} <= known, line


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README)) - {""}))
def test_every_file_it_links_to_exists(path: str) -> None:
    assert (REPOSITORY / path).exists()


def test_recordings_are_named_by_their_variable_alone() -> None:
    assert "CLOSINGBELL_RECORDINGS" in README
    assert "realdata" not in README
