"""The one asset of the deployment: a session whose prices, indicators and valuation ratios are published.

Partitioned by session. `market_close` emits it from its last task, `reconcile` for every session that has to be scored
again; `scores_and_recommendations` listens to it and to nothing else.
"""

from __future__ import annotations

from airflow.sdk import Asset

# no URI of its own: for a scheme Airflow imports every provider's URI handlers, botocore among them, at every parse
SESSION_CLOSED = Asset("session_closed", group="closing-bell")
