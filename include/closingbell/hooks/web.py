"""Web pages that news/sources.toml declares, and no others: robots.txt obeyed, one request a second a host.

Robots rules follow RFC 9309: no robots.txt (4xx) allows everything, one that cannot be read (5xx) nothing. Redirects
are not followed, a page above 4 MB is refused while it streams, and one that is gone is an error, as one that changed.
"""

from __future__ import annotations

from collections.abc import Callable
from time import sleep as _sleep
from urllib.parse import urlsplit

from closingbell.connections import Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import AuthFailed, BadAnswer, NotFound, VendorError
from closingbell.hooks.http import Client, Tokens
from closingbell.news.pages import MAX_BYTES, Source, sources
from closingbell.news.robots import allows

AGENT = "ClosingBell"
MAX_ROBOTS = 512 << 10


class Web:
    """Pages of the declared sources. A connection on this machine plays every host below its own address."""

    vendor = "web"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        self.mirror = endpoint.base_url if endpoint.is_local else ""
        contact = str(endpoint.extra.get("contact") or "")
        headers = {"User-Agent": f"{AGENT}/1.0" + (f" (+mailto:{contact})" if contact else "")}
        hosts = [source.url for source in sources()]
        self.client = Client(self.vendor, endpoint, quota, headers=headers, hosts=hosts, sleep=sleep)
        self._robots: dict[str, str] = {}

    def page(self, source: Source) -> Answer:
        """The source's page as it is now; raises BadAnswer where it is gone or its host's robots.txt forbids it."""
        if not allows(self._rules(source), AGENT, source.url):
            raise BadAnswer(
                self.vendor, "page", source.name, None,
                f"robots.txt of {source.host} forbids {urlsplit(source.url).path}; take the source out of "
                "news/sources.toml, or ask its publisher",
            )  # fmt: skip
        try:
            return self.client.get(
                self._at(source.url), endpoint="page", key=source.name, promise="page", max_bytes=MAX_BYTES
            )
        except NotFound as error:
            raise BadAnswer(
                self.vendor, "page", source.name, error.status,
                "the page is not there any more; correct its url in news/sources.toml",
            ) from None  # fmt: skip

    @staticmethod
    def hosts() -> list[str]:
        """The hosts of the declared sources."""
        return sorted({source.host for source in sources()})

    def test(self, host: str) -> tuple[bool, str]:
        """Whether the host's robots.txt lets us read its sources."""
        said = []
        for source in (source for source in sources() if source.host == host):
            try:
                allowed = allows(self._rules(source), AGENT, source.url)
                said.append(f"{source.name}: {'allowed' if allowed else 'forbidden by robots.txt'}")
            except VendorError as error:
                said.append(str(error))
        return all(text.endswith("allowed") for text in said), "; ".join(said)

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()

    def _rules(self, source: Source) -> str:
        if source.host not in self._robots:
            rules = ""
            try:
                answer = self.client.get(
                    self._at(f"https://{source.host}/robots.txt"), endpoint="robots", key=source.name,
                    promise="page", max_bytes=MAX_ROBOTS,
                )  # fmt: skip
                rules = answer.body.decode("utf-8", "replace")  # type: ignore[union-attr]
            except (NotFound, AuthFailed):
                pass
            self._robots[source.host] = rules
        return self._robots[source.host]

    def _at(self, url: str) -> str:
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.mirror}/{parts.hostname}{parts.path}{query}" if self.mirror else url
