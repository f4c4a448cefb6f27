"""`make soak` on a stack that is only pretended: which sessions it kills a task in, and what it calls a problem."""

from __future__ import annotations

from types import SimpleNamespace

import polars as pl
import pytest

from closingbell import demo
from e2e import soak


@pytest.fixture
def soaked(monkeypatch):
    """soaked(sessions, killed): the problems of so many sessions, and the numbers of those with a kill."""

    def run(sessions: int, killed: int) -> tuple[list[str], list[int]]:
        kills = []

        def run_session(*_, run_id: str = "", kill: bool = False) -> int:
            if not run_id:
                kills.append(kill)
            return killed if kill else 0

        monkeypatch.setattr(soak, "SESSIONS", sessions + 1)
        monkeypatch.setattr(soak, "run_session", run_session)
        for name in ("resident", "last_ledger_id", "changed_rows"):
            monkeypatch.setattr(soak, name, lambda *_: 0)
        monkeypatch.setattr(soak.db, "engine", lambda _: None)
        monkeypatch.setattr(soak.db, "query", lambda *_, **__: pl.DataFrame())
        for name in ("await_dags", "start", "finish"):
            monkeypatch.setattr(demo, name, lambda *_: "run")
        airflow = SimpleNamespace(unpause=lambda _: None)
        state = SimpleNamespace(airflow=lambda: airflow, warehouse_url=lambda: "", last_session="2025-12-05")
        problems = soak.soak(state, float("inf"))
        return problems, [number // 2 + 1 for number, kill in enumerate(kills) if kill]

    return run


def test_a_task_is_killed_in_the_first_session_and_in_every_fifth_after_it(soaked):
    assert soaked(12, killed=1) == ([], [1, 6, 11])


def test_a_soak_that_killed_no_task_has_not_shown_that_it_survives_one(soaked):
    problems, _ = soaked(2, killed=0)
    assert problems == ["no task was killed: none was seen running when one should have been"]


def test_a_soak_without_a_session_says_so(soaked):
    problems, _ = soaked(0, killed=0)
    assert problems == ["no session was done in the time: give more MINUTES"]
