"""SEC EDGAR: ticker list, submissions, company facts, the feed and index of filings, documents, the two bulk zips.

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
from closingbell.hooks.errors import AuthFailed, NotFound, ServerError, VendorError
from closingbell.hooks.http import Client, Promise, Refusal, Tokens
from closingbell.settings import settings

THROTTLED = b"Request Rate Threshold Exceeded"
UNDECLARED = b"Undeclared Automated Tool"
SUBMISSION_ENDS = (b"</SEC-DOCUMENT>", b"</SUBMISSION>", b"-----END PRIVACY-ENHANCED MESSAGE-----")


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

    def getcurrent(self, start: int, *, form: str = "4", count: int = 100) -> Answer:
        """A page of the feed of filings accepted lately, newest first: `count` entries from number `start` on.

        One filing is one entry for each of its filers. form: 4 stands for 4 and 4/A.
        """
        params = {"action": "getcurrent", "type": form, "owner": "include", "count": count, "start": start}
        return self.client.get(
            f"{self.www}/cgi-bin/browse-edgar",
            endpoint="getcurrent",
            key=f"page:{start}",
            params=params | {"output": "atom"},
            promise="text",
            refusal=self._refusal("getcurrent", f"page:{start}"),
        )

    def ownership(self, cik: int | str, accession_no: str) -> Answer:
        """A filing of Form 3, 4 or 5 as submitted: header, with its acceptance time, and documents.

        cik: of any of its filers. Raises ServerError where the submission came without its end.
        """
        return self._submission(cik, accession_no, "ownership")

    def form13f_sets(self) -> Answer:
        """The page that links the quarterly data sets of Form 13F."""
        return self._get(
            f"{self.www}/data-research/sec-markets-data/form-13f-data-sets", "form13f_sets", "all", promise="page"
        )

    def form13f_set(self, name: str, path: str, folder: Path) -> Answer:
        """A data set of Form 13F (about 100 MB) by its path on the page, written to `folder`; `name` is its key."""
        return self._download(f"{self.www}{_file_path(path)}", "form13f_set", folder, key=name)

    def fails_to_deliver_files(self) -> Answer:
        """The page that links the fails-to-deliver files."""
        return self._get(
            f"{self.www}/data-research/sec-markets-data/fails-deliver-data",
            "fails_to_deliver_files",
            "all",
            promise="page",
        )

    def fails_to_deliver(self, name: str, path: str) -> Answer:
        """Half a month's fails-to-deliver file, a zip, by its path on the page."""
        return self._get(f"{self.www}{_file_path(path)}", "fails_to_deliver", name, promise="zip")

    def form13f_filing(self, cik: int | str, accession_no: str) -> Answer:
        """A 13F filing as submitted: header, with its acceptance time, cover page and information table."""
        return self._submission(cik, accession_no, "form13f_filing")

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

    def _submission(self, cik: int | str, accession_no: str, endpoint: str) -> Answer:
        if not re.fullmatch(r"\d{10}-\d{2}-\d{6}", accession_no):
            raise ValueError(f"sec_edgar {endpoint}: {accession_no!r} is no accession number")
        url = f"{self.www}/Archives/edgar/data/{int(cik)}/{accession_no}.txt"
        answer = self._get(url, endpoint, accession_no, promise="text")
        if not answer.body.rstrip().endswith(SUBMISSION_ENDS):  # type: ignore[union-attr]
            message = "the submission was cut short: its last line is missing"
            raise ServerError(self.vendor, endpoint, accession_no, 200, message)
        return answer

    def _get(self, url: str, endpoint: str, key: str, *, promise: Promise = "json") -> Answer:
        return self.client.get(url, endpoint=endpoint, key=key, promise=promise, refusal=self._refusal(endpoint, key))

    def _download(self, url: str, endpoint: str, folder: Path, *, key: str = "all") -> Answer:
        refusal = self._refusal(endpoint, key)
        return self.client.download(url, Path(folder), endpoint=endpoint, key=key, refusal=refusal)

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


def _file_path(path: str) -> str:
    if not re.fullmatch(r"/files/[\w./-]+\.zip", path) or ".." in path:
        raise ValueError(f"sec_edgar: {path!r} is no path of a file of sec.gov")
    return path
