"""Every parser of XML that vendors send refuses an entity bomb by name, in bounded memory; a body without XML ends."""

from __future__ import annotations

import re
import resource
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from closingbell import edgar
from closingbell.insiders import compute
from closingbell.insiders import parse as insiders
from closingbell.institutions import parse as institutions
from closingbell.news import pages
from closingbell.ratings.parse import parse_ratings

HEADER = edgar.Header(accession_no="0001234567-24-000001", form="4", filed_on=date(2024, 5, 3))
COVER = """<edgarSubmission xmlns="http://www.sec.gov/edgar/thirteenffiler"><headerData>
<submissionType>13F-HR</submissionType><filerInfo><filer><credentials><cik>0000000011</cik></credentials></filer>
<periodOfReport>12-31-2023</periodOfReport></filerInfo></headerData><formData><coverPage><filingManager>
<name>NAME</name></filingManager><reportType>13F HOLDINGS REPORT</reportType></coverPage><summaryPage>
<tableEntryTotal>1</tableEntryTotal><tableValueTotal>100</tableValueTotal></summaryPage></formData></edgarSubmission>"""
TABLE = """<informationTable xmlns="http://www.sec.gov/edgar/document/thirteenf/informationtable"><infoTable>
<nameOfIssuer>NAME</nameOfIssuer><titleOfClass>COM</titleOfClass><cusip>037833100</cusip><value>100</value>
<shrsOrPrnAmt><sshPrnamt>10</sshPrnamt><sshPrnamtType>SH</sshPrnamtType></shrsOrPrnAmt>
<investmentDiscretion>SOLE</investmentDiscretion></infoTable></informationTable>"""
OWNERSHIP = """<ownershipDocument><documentType>4</documentType><periodOfReport>2024-05-01</periodOfReport>
<issuer><issuerCik>0000000077</issuerCik><issuerName>NAME</issuerName></issuer><reportingOwner><reportingOwnerId>
<rptOwnerCik>0000000011</rptOwnerCik><rptOwnerName>Owner</rptOwnerName></reportingOwnerId></reportingOwner>
<nonDerivativeTable/></ownershipDocument>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>4 - NAME (0000000077) (Issuer)</title>
<link href="https://www.sec.gov/Archives/edgar/data/77/000123456724000001/0001234567-24-000001-index.htm"/>
<summary>&lt;b&gt;Filed:&lt;/b&gt; 2024-05-03</summary><updated>2024-05-03T18:15:30-04:00</updated>
<category term="4"/><id>urn:tag:sec.gov,2008:accession-number=0001234567-24-000001</id></entry></feed>"""
RSS = """<rss version="2.0"><channel><item><title>NAME wins order</title><link>https://wire.example.com/a1</link>
<pubDate>Wed, 03 Jul 2024 09:05:00 -0400</pubDate></item></channel></rss>"""
RATINGS = """<result is_array="true"><ratings is_array="true"><item><id>1</id><date>2023-12-11</date>
<ticker>AVGO</ticker><name>NAME</name><analyst>Citigroup</analyst><action_company>Maintains</action_company>
<rating_current>Buy</rating_current><pt_current>1100</pt_current><updated>1702301347</updated></item>
</ratings></result>"""
(WIRE,) = pages.read_sources("""[[source]]
name = "wire"
publisher = "The Wire"
url = "https://wire.example.com/feed"
kind = "rss"
time = "rfc822"
zone = "UTC"
tickers = "NYSE: ([A-Z]+)"
""")


def ownership(body: bytes) -> None:
    found = insiders.ownership([insiders.Document(body=body, name="doc.xml", header=HEADER)])
    assert found.trades.is_empty()
    for problem in found.problems["problem"]:
        raise ValueError(problem)


PARSERS: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "13F cover page": (COVER, lambda body: institutions.filing(body, TABLE.encode(), header=HEADER)),
    "13F table": (TABLE, lambda body: institutions.filing(COVER.encode(), body, header=HEADER)),
    "ownership": (OWNERSHIP, ownership),
    "EDGAR's feed": (ATOM, insiders.feed),
    "web feed": (RSS, lambda body: pages.page_news(body, WIRE, seen_at=datetime(2024, 7, 3, 21, tzinfo=UTC))),
    "ratings": (RATINGS, parse_ratings),
}


def refusal(parse: Callable[[bytes], object], body: bytes) -> str:
    try:
        parse(body)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("parser", PARSERS)
def test_entity_bomb_is_refused_in_bounded_memory(parser: str):
    document, parse = PARSERS[parser]
    assert refusal(parse, document.encode()) == ""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = document.replace("NAME", "&e11;")  # 4 * 10**11 bytes, were it opened
    assert bomb != document
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        for encoding in ("utf-8", "utf-16"):
            head = f'<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE a [<!ENTITY e0 "boom">{entities}]>'
            said = refusal(parse, (head + bomb).encode(encoding))
            named = (
                "DOCTYPE|document type" if encoding == "utf-8" else "DOCTYPE|document type|well-formed|no XML|nor XML"
            )
            assert re.search(named, said), (encoding, said)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10  # KiB; lxml's own memory too


@pytest.mark.parametrize(
    "text",
    [b"<DOCUMENT><XML>" + b" " * 10**6 + b"</DOCUMENT>", b"<DOCUMENT>" * 10**6, b"<DOCUMENT>" + b"<XML>" * 10**6],
    ids=["white space", "documents", "marks"],
)
def test_marks_that_nothing_closes_end_in_a_refusal(text: bytes):
    """By a regular expression a million signs take hours to years: one worker at 100 %, and the test's time limit."""
    body = b"<SEC-DOCUMENT>0001234567-24-000001.txt\n" + text
    assert edgar.submission_documents(body) == []
    found = insiders.ownership([insiders.Document(body=body, name="doc.txt", header=HEADER)])
    assert (found.trades.height, found.problems.height) == (0, 1)
    with pytest.raises(ValueError, match="no XML document"):
        institutions.filing(body)


def test_documents_between_their_marks_are_found():
    body = b"<DOCUMENT><TYPE>4<XML>\n<a/>\n</XML>\n</DOCUMENT><DOCUMENT>no xml</DOCUMENT><DOCUMENT><XML><b> </b></XML>"
    assert edgar.submission_documents(body + b"<XML>2</XML></DOCUMENT><DOCUMENT><XML>cut") == [b"<a/>", b"<b> </b>"]


def test_titles_of_any_length_are_compared():
    """A million brackets: no prefix of them is read anew from each sign on."""
    title = "(" * 10**6
    document = OWNERSHIP.replace("<nonDerivativeTable/>", f"""<nonDerivativeTable><nonDerivativeTransaction>
        <securityTitle><value>{title}</value></securityTitle><transactionDate><value>2024-05-01</value></transactionDate>
        <transactionCoding><transactionFormType>4</transactionFormType><transactionCode>P</transactionCode></transactionCoding>
        <transactionAmounts><transactionShares><value>10</value></transactionShares><transactionPricePerShare><value>1</value>
        </transactionPricePerShare><transactionAcquiredDisposedCode><value>A</value></transactionAcquiredDisposedCode>
        </transactionAmounts><postTransactionAmounts><sharesOwnedFollowingTransaction><value>10</value>
        </sharesOwnedFollowingTransaction></postTransactionAmounts><ownershipNature><directOrIndirectOwnership><value>D</value>
        </directOrIndirectOwnership></ownershipNature></nonDerivativeTransaction></nonDerivativeTable>""")  # fmt: skip
    amendment = document.replace("<documentType>4<", "<documentType>4/A<")
    later = edgar.Header(accession_no="0001234567-24-000002", form="4/A", filed_on=date(2024, 5, 6))
    trades = insiders.ownership(
        [
            insiders.Document(body=document.encode(), name="a.xml", header=HEADER),
            insiders.Document(body=amendment.encode(), name="b.xml", header=later),
        ]
    ).trades
    assert compute.supersede(trades).sort("filed_on")["superseded_by"].to_list() == ["0001234567-24-000002", None]
