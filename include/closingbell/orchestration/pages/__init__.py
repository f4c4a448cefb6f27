"""Pages inside Airflow: what a run loaded, and why today's board is late.

Mounted by plugins/closingbell_pages.py into Airflow's API server. Every route asks Airflow for a login that may see
plugins; without one the answer is 401, and 403 without the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from closingbell.orchestration.pages import late
from closingbell.settings import settings

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/closing-bell"
EXAMPLES = 5
MOST_FAILURES = 200
WAITING = ("up_for_retry", "up_for_reschedule", "deferred")


def make_app() -> FastAPI:
    """The pages as an ASGI application, for the API server to mount under `PREFIX`."""
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse

    may_look = Depends(requires_access_view(AccessView.PLUGINS))
    app = FastAPI(title="Closing Bell", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[may_look])

    @app.get("/run", response_class=HTMLResponse)
    def run(dag_id: str, run_id: str) -> Any:
        """Rows, audits, quarantined rows, failed companies and quota of one run."""
        return render("run.html", **run_facts(dag_id, run_id))

    @app.get("/late", response_class=HTMLResponse)
    def why_late(session: date | None = None) -> Any:
        """The chain of one session, the last due one by default, and what to do at the first gap."""
        return render("late.html", **late_facts(session, datetime.now(UTC)))

    return app


def run_facts(dag_id: str, run_id: str) -> dict[str, Any]:
    """What the warehouse holds of the run, for the template."""
    from closingbell.warehouse import db

    engine = db.engine()
    of_run = {"dag_id": dag_id, "run_id": run_id}
    return {
        **of_run,
        "loads": db.query(engine, "page_run_loads", **of_run).to_dicts(),
        "audits": db.query(engine, "page_run_audits", **of_run).to_dicts(),
        "quarantine": db.query(engine, "page_run_quarantine", **of_run, examples=EXAMPLES).to_dicts(),
        "failures": db.query(engine, "page_run_failures", **of_run, most=MOST_FAILURES).to_dicts(),
        "quota": db.query(engine, "quota_left", vendor=None, key=None).to_dicts(),
        "most": MOST_FAILURES,
    }


def late_facts(session: date | None, now: datetime) -> dict[str, Any]:
    """What warehouse and Airflow know of the session, for the template; 404 where it is none."""
    from fastapi import HTTPException

    from closingbell import sessions
    from closingbell.pipelines import reconcile
    from closingbell.warehouse import db

    ends_on = settings().market_ends_on
    if session is None:
        session = sessions.latest_session(now)
        session = min(session, ends_on) if ends_on else session
    if not sessions.is_session(session):
        raise HTTPException(404, f"{session} is no New York session")
    engine = db.engine()
    stale = reconcile.stale(engine, sessions.last_sessions(session, reconcile.LATE_SESSIONS)[0], session)
    published = db.query(engine, "page_session_loads", session=session.isoformat())
    closes = sessions.close_of(session)
    facts = late.Facts(
        session=session.isoformat(),
        now=now,
        closes=closes,
        due=closes + timedelta(minutes=settings().close_delay_minutes),
        scores_due=closes + timedelta(minutes=settings().scores_due_minutes),
        published=dict(zip(published["dataset"], published["loaded_at"], strict=True)),
        first_published=dict(zip(published["dataset"], published["first_loaded_at"], strict=True)),
        market_ended=ends_on is not None and session > ends_on,
        stale=stale.get(session, ()),
        **_airflow_facts(
            session.isoformat(), db.query(engine, "page_session_runs", session=session.isoformat()).rows()
        ),
    )
    chain = late.steps(facts)
    verdict = late.verdict(facts, chain)
    last_scored = db.query(engine, "api_newest")["session"][0]
    return {"facts": facts, "steps": chain, "verdict": verdict, "last_scored": last_scored, "stale": stale}


def _airflow_facts(session: str, writers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Newest run of the session and paused DAGs, from Airflow's own database: only the API server may read it.

    A run of the session has it as its partition key, or has claimed it: writers are (dag_id, run_id) of those.
    """
    from airflow.models import DagModel, DagRun, TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import or_, select, tuple_

    runs: dict[str, late.DagRun] = {}
    with create_session() as db:
        newest = (
            select(DagRun)
            .where(
                DagRun.dag_id.in_(late.CHAIN),
                or_(DagRun.partition_key == session, tuple_(DagRun.dag_id, DagRun.run_id).in_(writers)),
            )
            .order_by(DagRun.dag_id, DagRun.id)
        )
        for run in db.scalars(newest):  # the last one of a DAG wins
            tasks = db.execute(
                select(TaskInstance.task_id, TaskInstance.state).where(
                    TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id
                )
            ).all()
            runs[run.dag_id] = late.DagRun(
                dag_id=run.dag_id,
                run_id=run.run_id,
                state=str(run.state),
                start=run.start_date,
                failed_tasks=sorted({task for task, state in tasks if state == "failed"}),
                waiting_tasks=sorted({task for task, state in tasks if state in WAITING}),
            )
        paused = select(DagModel.dag_id).where(DagModel.dag_id.in_(late.CHAIN), DagModel.is_paused)
        return {"runs": runs, "paused": frozenset(db.scalars(paused))}


def found(observed: str) -> str:
    """What an audit saw, in words: `none`, or how many rows, the first of them, and what else it noted."""
    import json

    notes = dict(json.loads(observed))
    unexpected, examples = notes.pop("unexpected", None), notes.pop("rows", None) or []
    parts = []
    if unexpected is not None:
        parts.append(f"{unexpected:,} rows" if unexpected else "none")
    parts += [", ".join(f"{name} {value}" for name, value in row.items()) for row in examples[:EXAMPLES]]
    parts += [f"{name.replace('_', ' ')}: {value}" for name, value in notes.items() if value not in (None, False)]
    return "; ".join(parts)


def render(template: str, **facts: Any) -> str:
    """A page of this folder with the facts in it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("closingbell.orchestration", "pages"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["count"] = lambda number: "" if number is None else f"{number:,}"
    environment.filters["lower_first"] = lambda words: words[:1].lower() + words[1:]
    environment.filters["found"] = found
    environment.filters["at"] = lambda moment: "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
    return environment.get_template(template).render(**facts)
