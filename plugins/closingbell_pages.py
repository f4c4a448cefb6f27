"""What stands inside Airflow, behind its login: the scoreboard with its coverage, the API, and pages for who runs it:
loads, on every run, and in the navigation why today's board is late.

Every Airflow process loads its plugins, every task too; the application is made by the API server's first request.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class Application:
    """An ASGI application, made by `factory` (module:function) when it is first asked."""

    def __init__(self, factory: str) -> None:
        self._factory = factory
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if self._app is None:
            module, _, name = self._factory.partition(":")
            self._app = getattr(import_module(module), name)()
        await self._app(scope, receive, send)


class ClosingBellPages(AirflowPlugin):
    """Where the pages are."""

    name = "closing_bell_pages"
    fastapi_apps: list[Any] = [  # noqa: RUF012
        {
            "app": Application("closingbell.api.main:mounted"),
            "url_prefix": "/closing-bell",
            "name": "Closing Bell",
        },
    ]
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "Scoreboard",
            "href": "/closing-bell/scoreboard",
            "destination": "nav",
            "url_route": "scoreboard",
        },
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
            "name": "Coverage",
            "href": "/closing-bell/scoreboard/coverage",
            "destination": "nav",
            "category": "browse",
            "url_route": "coverage",
        },
    ]
