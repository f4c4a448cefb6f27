"""Great Expectations' query for unexpected rows, run once: its own class runs each query a second time to count."""

from __future__ import annotations

import logging
import os
from typing import Any, ClassVar

logging.getLogger("great_expectations").setLevel(logging.WARNING)  # before the import, or 214 lines of INFO
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

from great_expectations.expectations import UnexpectedRowsExpectation  # noqa: E402

# this module of theirs sets its own level when imported, and would tell each command's user of a temporary folder
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)

_COUNT = "unexpected_in_all"


def counted(query: str) -> str:
    """`query` with the number of its rows beside each of them: Great Expectations fetches the first 200."""
    return f"SELECT *, count(*) OVER () AS {_COUNT} FROM (\n{query}\n) AS unexpected"  # noqa: S608  # a query of ours


class ExpectNoRows(UnexpectedRowsExpectation):
    """Passes where a `counted` query finds nothing."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        found = [dict(row) for row in metrics["unexpected_rows_query.table"]]
        counts = [row.pop(_COUNT) for row in found]
        return {
            "success": not found,
            "result": {"observed_value": counts[0] if counts else 0, "details": {"unexpected_rows": found}},
        }
