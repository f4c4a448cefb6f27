"""What a hook returns: the vendor's untouched answer and what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One raw answer. `request` names method, path and parameters, never a secret.

    `endpoint` and `key` name what was asked in the vendor's words (companyfacts, 0000320193). `body` is bytes, or
    the path of a file where the answer is too large for memory (SEC's bulk zips). Times are aware, UTC;
    `answered_at` is the vendor's own clock (HTTP Date), `fetched_at` ours.
    """

    vendor: str
    endpoint: str
    key: str
    request: dict[str, Any]
    body: bytes | Path
    content_type: str | None
    answered_at: datetime
    fetched_at: datetime
