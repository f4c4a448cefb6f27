"""SEC EDGAR: ticker list, submissions, company facts, daily form index and the two bulk zips.

Source: sec.gov, "Accessing EDGAR Data" and data.sec.gov's own page. Two hosts, one limit: ten requests a second over
all machines, a User-Agent with a contact, and a 403 page for who does not keep to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import sleep as _sleep

from closingbell.connections import ConnectionMissing, Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import AuthFailed, NotFound, VendorError
from closingbell.hooks.http import Client, Promise, Refusal, Tokens
from closingbell.settings import settings

THROTTLED = b"Request Rate Threshold Exceeded"
UNDECLARED = b"Undeclared Automated Tool"


class SecEdgar:
    """Answers of www.sec.gov and data.sec.gov. A connection with another host is taken to serve both below it."""

    vendor = "sec_edgar"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        contact = str(endpoint.extra.get("contact") or settings().sec_contact).strip()
        if not re.search(r"\S+@\S+\.\S+", contact):
            raise ConnectionMissing(
                "SEC answers only to a User-Agent with a contact: set CLOSINGBELL_SEC_CONTACT (an e-mail address), "
                "or `contact` in the connection sec_edgar"
            )
        base = endpoint.base_url
        official = endpoint.host == "sec.gov" or endpoint.host.endswith(".sec.gov")
        self.www = str(endpoint.extra.get("www_url") or ("https://www.sec.gov" if official else f"{base}/www.sec.gov"))
        self.data = str(
            endpoint.extra.get("data_url") or ("https://data.sec.gov" if official else f"{base}/data.sec.gov")
        )
        self.client = Client(
            self.vendor,
            endpoint,
            quota,
            headers={"User-Agent": f"ClosingBell {contact}"},
            hosts=[self.www, self.data],
            sleep=sleep,
        )

    def company_tickers(self) -> Answer:
        """Tickers in use today with their CIKs."""
        return self._get(f"{self.www}/files/company_tickers.json", "company_tickers", "all")

    def submissions(self, cik: int | str) -> Answer:
        """A filer's own record and its latest thousand filings; older ones are in `submissions_page`s."""
        key = _cik10(cik)
        return self._get(f"{self.data}/submissions/CIK{key}.json", "submissions", key)

    def submissions_page(self, name: str) -> Answer:
        """A page of older filings, by the file name that submissions gives (CIK0000320193-submissions-001.json)."""
        if not re.fullmatch(r"CIK\d{10}-submissions-\d{3,}\.json", name):
            raise ValueError(f"sec_edgar submissions_page: {name!r} is no page's file name")
        return self._get(f"{self.data}/submissions/{name}", "submissions_page", name)

    def companyfacts(self, cik: int | str) -> Answer:
        """All XBRL facts of one company; NotFound where it never filed any."""
        key = _cik10(cik)
        return self._get(f"{self.data}/api/xbrl/companyfacts/CIK{key}.json", "companyfacts", key)

    def daily_index(self, day: date) -> Answer:
        """What was filed on `day`, by form type; NotFound on days without filings (or not indexed yet)."""
        url = f"{self.www}/Archives/edgar/daily-index/{day.year}/QTR{(day.month + 2) // 3}/form.{day:%Y%m%d}.idx"
        return self._get(url, "daily_index", day.isoformat(), promise="text")

    def companyfacts_zip(self, folder: Path) -> Answer:
        """Company facts of every filer, written to `folder` (over 1 GB)."""
        return self._download(
            f"{self.www}/Archives/edgar/daily-index/xbrl/companyfacts.zip", "companyfacts_zip", folder
        )

    def submissions_zip(self, folder: Path) -> Answer:
        """Submissions of every filer, older pages included, written to `folder` (over 1 GB)."""
        return self._download(
            f"{self.www}/Archives/edgar/daily-index/bulkdata/submissions.zip", "submissions_zip", folder
        )

    def test(self) -> tuple[bool, str]:
        """Whether SEC answers us, and what it said."""
        try:
            answer = self.company_tickers()
        except VendorError as error:
            return False, str(error)
        return True, f"SEC answered with its ticker list, {len(answer.body):,} bytes"  # type: ignore[arg-type]

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()

    def _get(self, url: str, endpoint: str, key: str, *, promise: Promise = "json") -> Answer:
        return self.client.get(url, endpoint=endpoint, key=key, promise=promise, refusal=self._refusal(endpoint, key))

    def _download(self, url: str, endpoint: str, folder: Path) -> Answer:
        refusal = self._refusal(endpoint, "all")
        return self.client.download(url, Path(folder), endpoint=endpoint, key="all", refusal=refusal)

    def _refusal(self, endpoint: str, key: str) -> Refusal:
        def meant(status: int, body: bytes) -> VendorError | None:
            # the throttle page is a 403, seldom a 429, and once in a while a 200
            if THROTTLED in body[:8192]:
                return self.client.throttled(endpoint, key, status, "SEC's page 'Request Rate Threshold Exceeded'")
            if UNDECLARED in body[:8192]:
                said = "SEC takes us for an undeclared tool: CLOSINGBELL_SEC_CONTACT must be a real contact"
                return AuthFailed(self.vendor, endpoint, key, status, said)
            # the archive's store says AccessDenied for a file that is not there
            if status == 403 and b"<Code>AccessDenied</Code>" in body[:8192]:
                return NotFound(self.vendor, endpoint, key, status, "not there (AccessDenied by the archive's store)")
            return None

        return meant


def _cik10(cik: int | str) -> str:
    return f"{int(cik):010d}"
