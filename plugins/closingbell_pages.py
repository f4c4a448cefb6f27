"""Pages of our own inside Airflow: a run's loads, on every run; in the navigation why today's board is late, why a
score changed, and what scores stand on.

Every Airflow process loads its plugins, every task too; the pages are made by the API server's first request.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class Pages:
    """The ASGI application of `closingbell.orchestration.pages`, made when it is first asked."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if self._app is None:
            from closingbell.orchestration.pages import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


class ClosingBellPages(AirflowPlugin):
    """Where the pages are."""

    name = "closing_bell_pages"
    fastapi_apps: list[Any] = [{"app": Pages(), "url_prefix": "/closing-bell", "name": "Closing Bell pages"}]  # noqa: RUF012
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "Loads",
            "href": "/closing-bell/run?dag_id={DAG_ID}&run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": "loads",
        },
        {
            "name": "Why is today's board late",
            "href": "/closing-bell/late",
            "destination": "nav",
            "category": "browse",
            "url_route": "why_late",
        },
        {
            "name": "Why did this score change",
            "href": "/closing-bell/changes",
            "destination": "nav",
            "category": "browse",
            "url_route": "why_changed",
        },
        {
            "name": "Coverage",
            "href": "/closing-bell/coverage",
            "destination": "nav",
            "category": "browse",
            "url_route": "coverage",
        },
    ]
