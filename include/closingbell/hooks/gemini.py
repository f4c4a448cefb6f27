"""Gemini: one prompt, one answer held to a schema. What is asked and how it is read: `closingbell.news.analyst`.

Source: Google's reference of `models.generateContent`. The key goes in the header x-goog-api-key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import sleep as _sleep
from typing import Any

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import VendorError
from closingbell.hooks.http import Client, Tokens
from closingbell.news.analyst import MODEL

MAX_ANSWER = 1 << 20


class Gemini:
    """Answers of generativelanguage.googleapis.com."""

    vendor = "gemini"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        if not endpoint.password:
            raise ConnectionMissing("connection gemini has no API key: put it in the password, or set GOOGLE_API_KEY")
        self.base_url = endpoint.base_url
        self.model = str(endpoint.extra.get("model") or MODEL)
        headers = {"x-goog-api-key": endpoint.password}
        self.client = Client(self.vendor, endpoint, quota, headers=headers, sleep=sleep)

    def generate_content(self, body: Mapping[str, Any], key: str) -> Answer:
        """The model's answer to a generateContent body; `key` names what it is about."""
        return self.client.post(
            f"{self.base_url}/v1beta/models/{self.model}:generateContent",
            endpoint="generate_content",
            key=key,
            body=body,
            max_bytes=MAX_ANSWER,
        )

    def test(self) -> tuple[bool, str]:
        """Whether the vendor takes the key, and what it said."""
        try:
            self.client.get(f"{self.base_url}/v1beta/models", endpoint="models", key="all", params={"pageSize": 1})
        except VendorError as error:
            return False, str(error)
        return True, "Gemini took the key"

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
