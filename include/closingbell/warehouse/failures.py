"""What could not be fetched or parsed: recorded, tried again by the next run, then resolved.

ops.fetch_failures has what there is to try again, a row a key; ops.run_failures what each run failed at.
"""

from __future__ import annotations

from sqlalchemy import Engine, text

from closingbell.warehouse import db

_LONGEST = 2000  # an error that quotes a whole answer is cut


def record(engine: Engine, vendor: str, endpoint: str, key: str, error: str, dag_id: str, run_id: str) -> None:
    """Note that `key` failed; failing again counts one more attempt."""
    with engine.begin() as connection:
        connection.execute(
            db.statement("failure_record"),
            {
                "vendor": vendor,
                "endpoint": endpoint,
                "key": key,
                "error": error[:_LONGEST],
                "dag_id": dag_id,
                "run_id": run_id,
            },
        )


def resolve(engine: Engine, vendor: str, endpoint: str, key: str, *, besides_run: str | None = None) -> None:
    """Note that `key` came well; one that never failed, or failed last in the run `besides_run`, is left alone."""
    with engine.begin() as connection:
        connection.execute(
            db.statement("failure_resolve"),
            {"vendor": vendor, "endpoint": endpoint, "key": key, "besides_run": besides_run},
        )


def pending(engine: Engine, vendor: str, endpoint: str, *, tries: int | None = None) -> list[str]:
    """Keys that failed and have not come well since, in order; with `tries` those that failed fewer times."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT key FROM ops.fetch_failures "
                "WHERE vendor = :vendor AND endpoint = :endpoint AND resolved_at IS NULL "
                "AND (CAST(:tries AS integer) IS NULL OR attempts < :tries) ORDER BY key"
            ),
            {"vendor": vendor, "endpoint": endpoint, "tries": tries},
        )
        return list(rows.scalars())
