"""The environment that the Makefile makes, with a Python that is only pretended."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from closingbell.settings import REPOSITORY

PYTHON = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$*" in
    "-m venv "*) mkdir -p {folder}/venv/bin && cp "$0" {folder}/venv/bin/python;;
    "-c import torch") echo 'OSError: libcudart.so: cannot open shared object file' >&2; test -e {folder}/cpu_build;;
esac
"""


@pytest.fixture
def install(tmp_path: Path):
    """install(variables): what `make install` said as errors, and what its Python was asked since the last time."""
    python = tmp_path / "python"
    python.write_text(PYTHON.format(folder=tmp_path))
    python.chmod(0o755)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "TORCH"))}

    def make(*variables: str) -> tuple[str, str]:
        (tmp_path / "asked").write_text("")
        command = ["make", "install", f"VENV={tmp_path}/venv", f"PYTHON={python}", *variables]
        done = subprocess.run(command, cwd=REPOSITORY, env=plain, capture_output=True, text=True, check=True)
        return done.stderr, (tmp_path / "asked").read_text()

    return make


def test_a_torch_that_does_not_load_is_one_line_and_gives_way_to_that_of_another_index(install, tmp_path):
    said, asked = install()
    assert said.splitlines() == [
        "warning: torch here is a GPU build without its libraries, so FinBERT and its tests will not run; "
        "set TORCH_INDEX=<a package index with CPU builds of torch> and run again"
    ]
    assert "pip uninstall --quiet --yes torch" in asked  # else the same version would count as installed
    assert install() == ("", "")

    (tmp_path / "cpu_build").touch()
    said, asked = install("TORCH_INDEX=file:///cpu")
    assert said == ""
    assert "--extra-index-url file:///cpu -r requirements.lock" in asked
    assert "uninstall" not in asked
