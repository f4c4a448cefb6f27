"""Ownership documents and the feed to rows, hostile XML by name, amendments, open-market buying as a session knew."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from closingbell import edgar, shapes
from closingbell.insiders import compute, parse
from closingbell.pipelines import insider_trades

ACCESSION = "0001234567-24-000001"
FILED = edgar.Header(accession_no=ACCESSION, form="4", filed_on=date(2024, 5, 3))


def line(
    day: str = "2024-05-01",
    code: str = "P",
    shares: str | None = "100",
    price: str | None = "10.5",
    after: str = "1100",
    title: str = "Common Stock",
    way: str | None = None,
    note: str = "",
) -> str:
    price_text = f"<value>{price}</value>" if price is not None else ""
    share_text = f"<transactionShares><value>{shares}</value></transactionShares>" if shares is not None else ""
    return f"""<nonDerivativeTransaction><securityTitle><value>{title}</value></securityTitle>
<transactionDate><value>{day}</value></transactionDate>
<transactionCoding><transactionFormType>4</transactionFormType><transactionCode>{code}</transactionCode></transactionCoding>
<transactionAmounts>{share_text}
<transactionPricePerShare>{price_text}{note}</transactionPricePerShare>
<transactionAcquiredDisposedCode><value>{way or ("D" if code == "S" else "A")}</value></transactionAcquiredDisposedCode>
</transactionAmounts>
<postTransactionAmounts><sharesOwnedFollowingTransaction><value>{after}</value></sharesOwnedFollowingTransaction></postTransactionAmounts>
<ownershipNature><directOrIndirectOwnership><value>D</value></directOrIndirectOwnership></ownershipNature>
</nonDerivativeTransaction>"""


def document(
    *lines: str, form: str = "4", owners: tuple[int, ...] = (11,), more: str = "", signed: str = "2024-05-03"
) -> bytes:
    people = "".join(
        f"""<reportingOwner><reportingOwnerId><rptOwnerCik>{owner:010}</rptOwnerCik>
<rptOwnerName>Owner {owner}</rptOwnerName>
</reportingOwnerId><reportingOwnerRelationship><isDirector>true</isDirector><isOfficer>0</isOfficer>
</reportingOwnerRelationship></reportingOwner>"""
        for owner in owners
    )
    return f"""<?xml version="1.0"?><ownershipDocument><schemaVersion>X0508</schemaVersion>
<documentType>{form}</documentType>
<periodOfReport>2024-05-01</periodOfReport>{more}
<issuer><issuerCik>0000000077</issuerCik><issuerName>Example</issuerName>
<issuerTradingSymbol>NYSE: EXM</issuerTradingSymbol></issuer>
{people}<nonDerivativeTable>{"".join(lines)}</nonDerivativeTable>
<footnotes><footnote id="F1">Prices from $10 to $11.</footnote></footnotes>
<ownerSignature><signatureName>x</signatureName><signatureDate>{signed}</signatureDate></ownerSignature></ownershipDocument>""".encode()


def parsed(body: bytes, header: edgar.Header = FILED, name: str = "") -> parse.Parsed:
    return parse.ownership([parse.Document(body=body, name=name, header=header)])


def only_problem(body: bytes, header: edgar.Header = FILED, name: str = "doc.xml") -> str:
    result = parsed(body, header, name)
    assert result.trades.is_empty()
    assert result.documents.is_empty()
    return result.problems["problem"].item()


def filing(
    accession: str, filed: date, *lines: str, form: str = "4", owners: tuple[int, ...] = (11,), more: str = ""
) -> parse.Document:
    header = edgar.Header(accession_no=accession, filed_on=filed)
    return parse.Document(body=document(*lines, form=form, owners=owners, more=more), header=header)


def test_schemas_are_what_comes_out():
    result = parsed(document(line()))
    assert dict(result.trades.schema) == parse.TRADES
    assert dict(result.holdings.schema) == parse.HOLDINGS
    assert dict(result.documents.schema) == parse.DOCUMENTS
    assert dict(parse.ownership([]).trades.schema) == parse.TRADES


def test_tranches_at_different_prices_are_rows_of_their_own():
    trades = parsed(document(line(price="10"), line(price="11"), line(price="11"))).trades
    assert trades["row_no"].to_list() == [1, 2, 3]
    assert trades["total_value"].to_list() == [1000.0, 1100.0, 1100.0]


def test_joint_filers_are_one_row():
    trades = parsed(document(line(), owners=(11, 12, 13))).trades
    assert trades.height == 1
    assert trades["owner_ciks"].item().to_list() == [11, 12, 13]
    assert trades["insider_name"].item() == "Owner 11"
    assert trades["is_director"].item() is True


@pytest.mark.parametrize("price", [None, "0", "0.00"])
def test_price_in_a_footnote_only_is_no_price(price: str | None):
    trades = parsed(document(line(price=price, note='<footnoteId id="F1"/>'))).trades
    assert trades.select("price_per_share", "total_value", "price_footnotes").row(0) == (
        None,
        None,
        "Prices from $10 to $11.",
    )


def test_plan_box_is_null_where_the_form_had_none():
    assert parsed(document(line())).trades["is_10b5_1"].item() is None
    assert parsed(document(line(), more="<aff10b5One>1</aff10b5One>")).trades["is_10b5_1"].item() is True
    assert parsed(document(line(), more="<aff10b5One>false</aff10b5One>")).trades["is_10b5_1"].item() is False


def test_dates_of_old_schemas_carry_a_time_zone():
    assert parsed(document(line(day="2011-05-03-05:00"))).trades["transaction_date"].item() == date(2011, 5, 3)


def test_unknown_code_leaves_out_its_line_alone():
    result = parsed(document(line(code="Q"), line()))
    assert result.trades["row_no"].to_list() == [2]
    assert result.problems.select("problem", "key").row(0) == (
        "unknown transaction code",
        f"{ACCESSION} nonDerivativeTransaction 1",
    )


def test_a_purchase_of_what_was_disposed_of_leaves_out_its_line_alone():
    result = parsed(document(line(way="D"), line(code="S", way="A"), line(code="F", way="D"), line(code="S")))
    assert result.trades["row_no"].to_list() == [3, 4]
    assert result.problems["problem"].to_list() == ["code against way"] * 2


@pytest.mark.parametrize("shares", ["NaN", "-5", "1e30", "ten"])
def test_numbers_that_are_none_are_problems(shares: str):
    assert parsed(document(line(shares=shares))).problems["problem"].to_list() == ["bad value"]


def test_acceptance_is_knowledge_and_without_it_22_oclock_new_york():
    assert parsed(document(line())).trades["known_at"].item() == datetime(2024, 5, 4, 2, tzinfo=UTC)
    accepted = datetime(2024, 5, 3, 20, 15, tzinfo=UTC)
    header = edgar.Header(accession_no=ACCESSION, filed_on=date(2024, 5, 3), accepted_at=accepted)
    assert parsed(document(line()), header).trades["known_at"].item() == accepted


def test_full_submission_brings_its_own_header():
    body = (
        b"<SEC-DOCUMENT>0001234567-24-000001.txt : 20240503\n<SEC-HEADER>\n<ACCEPTANCE-DATETIME>20240503181530\n"
        b"ACCESSION NUMBER:\t\t0001234567-24-000001\nCONFORMED SUBMISSION TYPE:\t4\nFILED AS OF DATE:\t\t20240503\n"
        b"</SEC-HEADER>\n<DOCUMENT>\n<TYPE>4\n<TEXT>\n<XML>\n" + document(line()) + b"\n</XML>\n</TEXT>\n</DOCUMENT>\n"
        b"<DOCUMENT>\n<TYPE>EX-24\n<TEXT>\npower of attorney\n</TEXT>\n</DOCUMENT>\n</SEC-DOCUMENT>"
    )
    trades = parsed(body, edgar.Header()).trades
    assert trades["accession_no"].item() == ACCESSION
    assert trades["known_at"].item() == datetime(2024, 5, 3, 22, 15, 30, tzinfo=UTC)  # 18:15:30 New York, summer time


def test_a_document_without_accession_is_quarantined_as_such():
    assert only_problem(document(line()), edgar.Header(), "form4_EXM_2024-05-03_d5368b.xml") == "no accession"


def test_the_day_in_a_name_is_not_believed_before_the_signature():
    name = f"form4_EXM_2024-05-01_{ACCESSION}.xml"  # the period, as such names have it
    assert only_problem(document(line()), edgar.Header(), name) == "no filing date"
    signed = parsed(document(line()), edgar.Header(), f"form4_EXM_2024-05-03_{ACCESSION}.xml").trades
    assert signed.select("accession_no", "filed_on").row(0) == (ACCESSION, date(2024, 5, 3))


def test_doctype_is_refused():
    body = document(line()).replace(b"<ownershipDocument>", b"<!DOCTYPE ownershipDocument><ownershipDocument>")
    assert only_problem(body) == "document type declaration"
    hidden = body.decode().replace('<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16")
    assert only_problem(hidden) == "document type declaration"


def test_a_cut_document_is_an_error_and_not_half_a_document():
    assert only_problem(document(line(), line())[:-200]) == "not well-formed XML"


def test_other_documents_and_depth_are_refused():
    assert only_problem(b"<html><body>Undeclared Automated Tool</body></html>") == "another document"
    assert (
        only_problem(b"<ownershipDocument>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</ownershipDocument>")
        == "not well-formed XML"
    )
    assert (
        only_problem(b"<ownershipDocument>" + b" " * shapes.XML_BYTES + b"</ownershipDocument>") == "document too large"
    )


def test_one_bad_document_does_not_stop_the_others():
    result = parse.ownership([parse.Document(body=b"", name="x"), parse.Document(body=document(line()), header=FILED)])
    assert (result.trades.height, result.problems.height) == (1, 1)


def test_a_filing_of_many_hundred_lines_and_owners_is_whole():
    trades = parsed(
        document(*(line(code="G", shares=str(n), price="0") for n in range(400)), owners=tuple(range(1, 11)))
    ).trades
    assert trades["row_no"].to_list() == list(range(1, 401))
    assert trades.select("shares", "total_value").row(0) == (0.0, 0.0)  # a gift of nothing is no missing value
    assert trades["owner_ciks"].list.len().unique().to_list() == [10]


def test_a_document_of_derivatives_alone_has_no_other_rows():
    body = document(line(code="M", title="Option")).decode()
    body = body.replace("nonDerivativeTable", "derivativeTable")
    body = body.replace("nonDerivativeTransaction", "derivativeTransaction")
    assert parsed(body.encode()).trades.select("is_derivative", "row_no").rows() == [(True, 1)]


def test_an_owner_without_a_cik_is_refused_by_name():
    body = document(line()).replace(b"<rptOwnerCik>0000000011</rptOwnerCik>", b"")
    assert only_problem(body) == "bad value"


def test_form_3_is_holdings_not_trades():
    held = """<nonDerivativeHolding><securityTitle><value>Common</value></securityTitle><postTransactionAmounts>
<sharesOwnedFollowingTransaction><value>7</value></sharesOwnedFollowingTransaction></postTransactionAmounts><ownershipNature>
<directOrIndirectOwnership><value>I</value></directOrIndirectOwnership></ownershipNature></nonDerivativeHolding>"""
    result = parsed(document(held, form="3"))
    assert result.trades.is_empty()
    assert result.holdings.select("shares_owned_after", "direct").row(0) == (7.0, False)
    assert result.documents.select("trades", "holdings").row(0) == (0, 1)


FEED_ENTRY = """<entry><title>{form} - {name} ({cik:010}) ({role})</title>
<link rel="alternate" href="https://www.sec.gov/Archives/edgar/data/{cik}/000123456724000001/0001234567-24-000001-index.htm"/>
<summary type="html">&lt;b&gt;Filed:&lt;/b&gt; 2024-05-03 &lt;b&gt;AccNo:&lt;/b&gt; 0001234567-24-000001</summary>
<updated>2024-05-03T18:02:43-04:00</updated><category scheme="https://www.sec.gov/" label="form type" term="{form}"/>
<id>urn:tag:sec.gov,2008:accession-number=0001234567-24-000001</id></entry>"""


def test_feed_shows_a_filing_once_keyed_on_its_issuer():
    entries = [
        FEED_ENTRY.format(form="4/A", name="Fund (US) LP", cik=12, role="Reporting"),
        FEED_ENTRY.format(form="4/A", name="Example", cik=77, role="Issuer"),
        FEED_ENTRY.format(form="4/A", name="Owner", cik=11, role="Reporting"),
    ]
    page = f'<?xml version="1.0" encoding="ISO-8859-1" ?><feed xmlns="http://www.w3.org/2005/Atom">{"".join(entries)}</feed>'
    rows = parse.feed(page.encode("latin-1"))
    assert dict(rows.schema) == parse.FILINGS
    row = rows.row(0, named=True)
    assert rows.height == 1
    assert (row["form"], row["issuer_cik"], row["filer_ciks"]) == ("4/A", 77, [12, 77, 11])
    assert row["accepted_at"] == datetime(2024, 5, 3, 22, 2, 43, tzinfo=UTC)
    assert row["url"].endswith("/data/12/000123456724000001/0001234567-24-000001.txt")


def test_a_filing_whose_entries_lie_on_two_pages_keeps_all_its_filers():
    def listed(role: str, cik: int) -> pl.DataFrame:
        entry = FEED_ENTRY.format(form="4", name="Somebody", cik=cik, role=role)
        return parse.feed(f'<feed xmlns="http://www.w3.org/2005/Atom">{entry}</feed>'.encode())

    row = insider_trades._once(pl.concat([listed("Reporting", 11), listed("Issuer", 77)])).row(0, named=True)
    assert (row["filer_ciks"], row["issuer_cik"]) == ([11, 77], 77)


def test_feed_of_another_shape_is_an_error():
    page = b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>4 - x</title></entry></feed>'
    with pytest.raises(ValueError, match="entry 1"):
        parse.feed(page)


def test_index_shows_a_filing_once():
    text = (
        "Form Type   Company Name   CIK   Date Filed  File Name\n" + "-" * 80 + "\n"
        "4           Example Inc              77          20240503    edgar/data/77/0001234567-24-000001.txt\n"
        "4           Owner                    11          20240503    edgar/data/11/0001234567-24-000001.txt\n"
        "10-K        Example Inc              77          20240503    edgar/data/77/0001234567-24-000002.txt\n"
    )
    rows = parse.index(text.encode())
    assert rows.select("accession_no", "form", "issuer_cik").rows() == [(ACCESSION, "4", None)]
    assert rows["filer_ciks"].item().to_list() == [77, 11]


# amendments

ORIGINAL = "0001234567-24-000001"
AMENDMENT = "0001234567-24-000009"
NAMES_ORIGINAL = "<dateOfOriginalSubmission>2024-05-03</dateOfOriginalSubmission>"


def superseded(*documents: parse.Document) -> list[tuple[str, int]]:
    trades = compute.supersede(parse.ownership(documents).trades)
    gone = trades.filter(pl.col("superseded_by").is_not_null())
    return gone.select("accession_no", "row_no").rows()


def test_amendment_supersedes_only_what_it_restates():
    original = filing(
        ORIGINAL, date(2024, 5, 3), line(shares="100", price="10"), line(shares="200", price="11"), line(code="F")
    )
    amendment = filing(AMENDMENT, date(2024, 5, 20), line(shares="200", price="11.5"), form="4/A", more=NAMES_ORIGINAL)
    trades = compute.supersede(parse.ownership([original, amendment]).trades)
    assert superseded(original, amendment) == [(ORIGINAL, 2)]
    row = trades.filter(accession_no=ORIGINAL, row_no=2).row(0, named=True)
    assert (row["superseded_by"], row["superseded_at"]) == (AMENDMENT, datetime(2024, 5, 21, 2, tzinfo=UTC))
    assert compute.live(trades, datetime(2024, 5, 20, 20, tzinfo=UTC)).height == 3
    assert compute.live(trades, datetime(2024, 5, 21, 2, tzinfo=UTC)).select("accession_no", "row_no").rows() == [
        (ORIGINAL, 1),
        (ORIGINAL, 3),
        (AMENDMENT, 1),
    ]


def test_amendment_of_an_amendment_and_order_of_arrival():
    first = filing(ORIGINAL, date(2024, 5, 3), line(shares="100"))
    second = filing(AMENDMENT, date(2024, 5, 20), line(shares="110"), form="4/A", more=NAMES_ORIGINAL)
    third = filing("0001234567-24-000010", date(2024, 6, 20), line(shares="120"), form="4/A", more=NAMES_ORIGINAL)
    assert superseded(third, second, first) == [(AMENDMENT, 1), (ORIGINAL, 1)]


def test_amendment_that_corrects_the_code_takes_the_line_of_its_place():
    original = filing(ORIGINAL, date(2024, 5, 3), line(code="P"), line(code="A", shares="7", price="0"))
    amendment = filing(AMENDMENT, date(2024, 5, 20), line(code="A", way="A"), form="4/A", more=NAMES_ORIGINAL)
    assert superseded(original, amendment) == [(ORIGINAL, 1)]


@pytest.mark.parametrize("named", ["", "<dateOfOriginalSubmission>2024-05-02</dateOfOriginalSubmission>"])
def test_amendment_without_its_originals_day_that_corrects_the_code_takes_the_line_equal_in_all_else(named: str):
    original = filing(ORIGINAL, date(2024, 5, 3), line(code="S"), line(code="S", after="1000"))
    amendment = filing(AMENDMENT, date(2024, 5, 20), line(code="F", way="D", after="1000"), form="4/A", more=named)
    assert superseded(original, amendment) == [(ORIGINAL, 2)]
    other = filing(AMENDMENT, date(2024, 5, 20), line(code="F", way="D", after="900"), form="4/A", more=named)
    assert superseded(original, other) == []


def test_amendment_that_corrects_its_owner_takes_the_named_originals_line_equal_in_all_else():
    original = filing(ORIGINAL, date(2024, 5, 3), line(), line(after="1200"))
    right = filing(AMENDMENT, date(2024, 5, 20), line(after="1200"), form="4/A", owners=(12,), more=NAMES_ORIGINAL)
    assert superseded(original, right) == [(ORIGINAL, 2)]
    unnamed = filing(AMENDMENT, date(2024, 5, 20), line(after="1200"), form="4/A", owners=(12,))
    assert superseded(original, unnamed) == []


def test_an_amendment_that_reports_a_trade_the_original_left_out_supersedes_nothing():
    original = filing(ORIGINAL, date(2024, 5, 3), line(price="10", after="1100"), line(price="11", after="1200"))
    left_out = line(shares="50", price="11", after="1250")
    assert superseded(original, filing(AMENDMENT, date(2024, 5, 20), left_out, form="4/A", more=NAMES_ORIGINAL)) == []
    # both shares and price of the second line corrected: it goes on from the first line, as the second did
    corrected = line(shares="60", price="12", after="1160")
    amendment = filing(AMENDMENT, date(2024, 5, 20), line(price="10", after="1100"), corrected, form="4/A")
    assert superseded(original, amendment) == [(ORIGINAL, 1), (ORIGINAL, 2)]


def test_an_amendment_that_reports_a_trade_left_out_before_the_originals_supersedes_nothing():
    original = filing(ORIGINAL, date(2024, 5, 3), line(code="S", after="4000"), line(code="S", price="9", after="3900"))
    left_out = line(code="S", shares="50", after="4100")
    assert superseded(original, filing(AMENDMENT, date(2024, 5, 20), left_out, form="4/A", more=NAMES_ORIGINAL)) == []
    # both shares and price of the first line corrected: the second goes on from it as from the first
    corrected = line(code="S", shares="50", price="12", after="4000")
    amendment = filing(AMENDMENT, date(2024, 5, 20), corrected, form="4/A", more=NAMES_ORIGINAL)
    assert superseded(original, amendment) == [(ORIGINAL, 1)]


@pytest.mark.parametrize("longer", ["Common Stock, par value $0.01 per share", "Common Stock (no par value)"])
def test_amendment_that_spells_the_title_longer_finds_its_line(longer: str):
    original = filing(ORIGINAL, date(2024, 5, 3), line(shares="50", after="1000"), line())
    corrected = line(price="12", title=longer)
    amendment = filing(AMENDMENT, date(2024, 5, 20), corrected, form="4/A", more=NAMES_ORIGINAL)
    assert superseded(original, amendment) == [(ORIGINAL, 2)]


@pytest.mark.parametrize(
    ("shares", "after", "gone"),
    [("1000", "5000", [1, 2]), ("1100", "5000", [1]), ("1000", "5100", [1])],
)
def test_amendment_that_writes_a_trades_tranches_as_one_line_takes_them_all(shares: str, after: str, gone: list):
    original = filing(
        ORIGINAL, date(2024, 5, 3),
        line(shares="600", price="9.90", after="4600"), line(shares="400", price="10.15", after="5000"), line(code="F"),
    )  # fmt: skip
    merged = line(shares=shares, price="10.00", after=after)
    amendment = filing(AMENDMENT, date(2024, 5, 20), merged, form="4/A", more=NAMES_ORIGINAL)
    assert superseded(original, amendment) == [(ORIGINAL, n) for n in gone]


def test_amendment_that_corrects_date_and_price_takes_the_line_with_as_much_owned_after():
    original = filing(ORIGINAL, date(2024, 5, 3), line(code="F", shares="7"), line(price="10"))
    for after, gone in (("1100", [(ORIGINAL, 2)]), ("1250", [])):
        corrected = line(day="2024-04-30", price="11", after=after)
        amendment = filing(AMENDMENT, date(2024, 5, 20), corrected, form="4/A", more=NAMES_ORIGINAL)
        assert superseded(original, amendment) == gone


@pytest.mark.parametrize("named", ["", "<dateOfOriginalSubmission>2024-05-01</dateOfOriginalSubmission>"])
@pytest.mark.parametrize(
    "corrected",
    [line(day="2024-04-30"), line(title="Ordinary Shares"), line(code="S", after="900")],
    ids=["day", "title", "way"],
)
def test_amendment_that_finds_no_original_by_its_day_is_of_its_periods_one_filing(named: str, corrected: str):
    """As where the trade's day was written for the original's."""
    original = filing(ORIGINAL, date(2024, 5, 3), line(), line(code="F", shares="7", after="1093"))
    amendment = filing(AMENDMENT, date(2024, 5, 20), corrected, form="4/A", more=named)
    assert superseded(original, amendment) == [(ORIGINAL, 1)]
    # of two filings of the period nobody knows which, and a trade of other amounts is one that was left out
    second = filing("0001234567-24-000002", date(2024, 5, 4), line(day="2024-05-02", shares="5", after="1098"))
    assert superseded(original, second, amendment) == []
    left_out = filing(AMENDMENT, date(2024, 5, 20), line(code="S", shares="50", after="800"), form="4/A", more=named)
    assert superseded(original, left_out) == []


def test_amendment_that_moves_a_trade_to_the_other_table_takes_its_line():
    moved = line(after="100").replace("nonDerivativeTransaction", "derivativeTransaction")
    moved = moved.replace("</transactionAmounts>", """</transactionAmounts><underlyingSecurity><underlyingSecurityTitle>
        <value>Common Stock</value></underlyingSecurityTitle></underlyingSecurity>""")  # fmt: skip
    for price, gone in (("10.5", [(ORIGINAL, 2)]), ("0", [])):
        told = moved.replace("<value>10.5<", f"<value>{price}<")
        amendment = filing(AMENDMENT, date(2024, 5, 20), form="4/A", more=NAMES_ORIGINAL)
        body = amendment.body.replace(b"<footnotes>", f"<derivativeTable>{told}</derivativeTable><footnotes>".encode())
        original = filing(ORIGINAL, date(2024, 5, 3), line(code="F", shares="7"), line(price=price))
        assert superseded(original, parse.Document(body=body, header=amendment.header)) == gone


def test_an_amendment_known_at_the_moment_of_its_original_counts_alone():
    """Files without an acceptance time: both are known at 22:00 of one day."""
    original = filing("0001234567-24-000005", date(2024, 5, 3), line(shares="100"))
    amendment = filing("0001111111-24-000001", date(2024, 5, 3), line(shares="150"), form="4/A", more=NAMES_ORIGINAL)
    assert superseded(amendment, original) == [("0001234567-24-000005", 1)]
    assert activity(original, amendment)[date(2024, 5, 6)]["shares_bought_30d"] == 150


def test_amendment_leaves_other_owners_issuers_days_and_forms_alone():
    mine = filing(ORIGINAL, date(2024, 5, 3), line())
    others = filing("0001234567-24-000002", date(2024, 5, 3), line(), owners=(12,))
    earlier = filing("0001234567-24-000003", date(2024, 4, 3), line(day="2024-04-01"))
    amendment = filing(
        AMENDMENT, date(2024, 5, 20), line(shares="90"), form="4/A", owners=(11, 13), more=NAMES_ORIGINAL
    )
    assert superseded(mine, others, earlier, amendment) == [(ORIGINAL, 1)]


def test_amendment_without_its_original_stands_alone():
    assert superseded(filing(AMENDMENT, date(2024, 5, 20), line(), form="4/A")) == []


# open-market buying

SESSIONS = pl.DataFrame(
    {
        "session": [date(2024, 5, 3), date(2024, 5, 6), date(2024, 5, 21), date(2024, 5, 31), date(2024, 8, 1)],
        "closes_at": [datetime(2024, m, d, 20, tzinfo=UTC) for m, d in ((5, 3), (5, 6), (5, 21), (5, 31), (8, 1))],
    }
)
LISTINGS = pl.DataFrame(
    {
        "security_id": [77002, 77001, 5],
        "cik": [77, 77, 6],
        "share_class": ["A", "B", None],
        "ticker": ["EXM", "EXM.B", "XYZ"],
    }
)


def activity(*documents: parse.Document) -> dict[date, dict]:
    trades = compute.with_securities(compute.supersede(parse.ownership(documents).trades), LISTINGS)
    return {row["session"]: row for row in compute.activity(trades, SESSIONS).iter_rows(named=True)}


def test_issuer_outside_the_universe_has_no_security_and_ticker_chooses_the_class():
    trades = parse.ownership([filing(ORIGINAL, date(2024, 5, 3), line())]).trades
    assert compute.with_securities(trades, LISTINGS)["security_id"].to_list() == [77002]  # "NYSE: EXM"
    unknown = trades.with_columns(issuer_ticker=pl.lit("NONE"))
    assert compute.with_securities(unknown, LISTINGS)["security_id"].to_list() == [77001]
    assert compute.with_securities(trades, LISTINGS.filter(cik=6))["security_id"].to_list() == [None]
    assert compute.with_securities(trades.clear(), LISTINGS)["security_id"].to_list() == []


def test_a_title_names_the_class_whatever_the_ticker():
    titles = (
        "Class B Common Stock", "Common Stock Cl. B", "CLASS A ordinary shares", "Common Stock", "Class C Capital Stock"
    )  # fmt: skip
    trades = parse.ownership([filing(ORIGINAL, date(2024, 5, 3), *(line(title=title) for title in titles))]).trades
    assert compute.with_securities(trades, LISTINGS)["security_id"].to_list() == [77001, 77001, 77002, 77002, None]
    unclassed = LISTINGS.with_columns(share_class=pl.lit(None, dtype=pl.String))
    assert compute.with_securities(trades, unclassed)["security_id"].to_list() == [77002] * 5


def test_what_is_no_stock_is_not_booked_on_the_stock():
    none = (
        "Series B Preferred Stock", "6.5% Senior Notes due 2030", "Warrants to purchase Common Stock", "Rights",
        "Units", "Units, each consisting of one share of common stock and a warrant", "Restricted Stock Units",
        "Depositary Shares, each representing a 1/40th interest in a share of Series A Preferred",
        "8.00% Series D Cumulative Redeemable Pfd", "Series B Pfd Stock", "Series A Pref. Stock", "Term Loan",
        "Mandatory Convertible Pref Shs", "6.5% Senior Secured Nts due 2030", "Shares of MuniPreferred",
        "Series B Preferred Units representing limited partner interests", "Rights to American Depositary Shares",
    )  # fmt: skip
    stock = (
        "Common Stock (and associated preferred share purchase rights)", "Common Units", "American Depositary Shares",
        "Ordinary Shares", "Common Stock, par value $.01, with rights", "Units of Beneficial Interest", "Trust Units",
        "Depositary Units", "LP Units", "Units (ltd. partnership interests)", "Class A Units", "Limited Partner Units",
        "Common Stock and Preferred Share Purchase Rights", "Common Stock and Associated Rights",
        "Shares of Common Stock underlying Units", "Common Stock/Rights", "Common Stock &amp; Rights",
    )  # fmt: skip
    trades = parse.ownership(
        [filing(ORIGINAL, date(2024, 5, 3), *(line(title=title) for title in (*none, *stock)))]
    ).trades
    found = compute.with_securities(trades, LISTINGS)["security_id"].to_list()
    assert found == [None] * len(none) + [77002] * len(stock)


def test_of_several_tickers_the_title_chooses_or_nothing_does():
    """Liberty Media's 4s: symbol "FWONA, FWONK", and two tracking stocks have a series C."""
    listings = pl.DataFrame(
        {
            "security_id": [77001, 77003, 77013],
            "cik": [77] * 3,
            "share_class": ["A", "C", "C"],
            "ticker": ["FWONA", "FWONK", "LLYVK"],
        }
    )
    titles = ("Series C Liberty Formula One Common Stock", "Series A Common Stock", "Common Stock")
    trades = parse.ownership([filing(ORIGINAL, date(2024, 5, 3), *(line(title=title) for title in titles))]).trades
    both = trades.with_columns(issuer_ticker=pl.lit("FWONA, FWONK"))
    assert compute.with_securities(both, listings)["security_id"].to_list() == [77003, 77001, None]
    unsaid = trades.with_columns(issuer_ticker=pl.lit(None, dtype=pl.String))
    assert compute.with_securities(unsaid, listings)["security_id"].to_list() == [None, 77001, 77001]


def test_net_buying_counts_what_the_session_knew():
    days = activity(
        filing(ORIGINAL, date(2024, 5, 3), line(shares="100", price="10"), line(code="A", shares="999", price="0")),
        filing(
            "0001234567-24-000002", date(2024, 5, 3), line(code="S", shares="30", price="20", after="5"), owners=(12,)
        ),
        filing(AMENDMENT, date(2024, 5, 20), line(shares="150", price="10"), form="4/A", more=NAMES_ORIGINAL),
    )
    assert date(2024, 5, 3) not in days  # filed that day, known at 22:00
    before, after = days[date(2024, 5, 6)], days[date(2024, 5, 21)]
    assert (before["shares_bought_30d"], before["net_shares_30d"], before["net_value_30d"]) == (100, 70, 400)
    assert (after["shares_bought_30d"], after["net_value_30d"]) == (150, 900)
    assert (after["buyers_30d"], after["sellers_30d"], after["buys_30d"]) == (1, 1, 1)
    late, gone = days[date(2024, 5, 31)], date(2024, 8, 1) in days
    assert (late["buys_30d"], late["net_shares_30d"]) == (0, 0)  # 1 May is 30 days before 31 May
    assert late["net_shares_90d"] == 120
    assert not gone


def of_fund(*documents: parse.Document) -> list[parse.Document]:
    """The documents with what they trade held indirectly, as a group's shared holding is."""
    ways = (b"<directOrIndirectOwnership><value>%s</value>" % way for way in (b"D", b"I"))
    direct, indirect = ways
    return [parse.Document(body=one.body.replace(direct, indirect), header=one.header) for one in documents]


def test_joint_and_split_filings_count_once():
    days = activity(
        *of_fund(
            filing(ORIGINAL, date(2024, 5, 2), line(), line(), owners=(11, 12)),
            filing(
                "0001234567-24-000002", date(2024, 5, 3),
                *[line(title="Common Stock, par value $.01")] * 2, owners=(13,),
            ),
            filing("0001234567-24-000003", date(2024, 5, 3), line(after="7"), owners=(15,)),
        )
    )  # fmt: skip
    day = days[date(2024, 5, 6)]
    assert (day["buys_30d"], day["shares_bought_30d"], day["buyers_30d"]) == (3, 300, 2)


def test_two_insiders_who_make_equal_trades_are_two():
    """Directors in a directed share programme, with none held before: shares, price and shares after are equal."""
    lots = [
        filing(f"0001234567-24-{n:06}", date(2024, 5, 3), line(shares="5000", price="20", after="5000"), owners=owners)
        for n, owners in ((1, (11,)), (2, (12,)))
    ]
    for documents in (lots, of_fund(*lots)):  # in their family trusts, too: neither is a group's
        day = activity(*documents)[date(2024, 5, 6)]
        assert (day["buys_30d"], day["buyers_30d"], day["shares_bought_30d"]) == (2, 2, 10_000)
    couple = filing(
        "0001234567-24-000003", date(2024, 5, 3), line(shares="5000", price="20", after="5000"), owners=(13, 14)
    )
    assert activity(*lots, couple)[date(2024, 5, 6)]["buys_30d"] == 3  # held directly by each
    again = filing(
        "0001234567-24-000004", date(2024, 5, 3), line(shares="5000", price="20", after="5000"), owners=(13, 15)
    )
    assert activity(*of_fund(couple, again))[date(2024, 5, 6)]["buys_30d"] == 1  # one of them is in both


@pytest.mark.parametrize("owners", [[(11,), (11,)], [(11, 12, 13), (13,)], [(11, 12, 13), (14, 13)]])
def test_a_trade_in_two_forms_of_one_owner_counts_once(owners: list[tuple[int, ...]]):
    """A form sent twice; a group's controlling person on each of its forms. What is owned after it is the same."""
    lots = [line(after="1100"), line(after="1200")]
    first = filing(ORIGINAL, date(2024, 5, 2), *lots, owners=owners[0])

    def bought(*documents: parse.Document) -> tuple[int, float, int]:
        day = activity(*documents)[date(2024, 5, 21)]
        return day["buys_30d"], day["shares_bought_30d"], day["buyers_30d"]

    again = filing("0001234567-24-000002", date(2024, 5, 3), *lots, owners=owners[1])
    assert bought(first, again) == (2, 200, 1)
    fewer = filing("0001234567-24-000002", date(2024, 5, 3), lots[1], owners=owners[1])
    assert bought(first, fewer) == (2, 200, 1)
    # the rest of the day's trades: lines may tell what was owned at its end
    rest = filing("0001234567-24-000002", date(2024, 5, 3), lots[0], line(after="1300"), owners=owners[1])
    assert bought(first, rest)[0] == 4
    later = filing("0001234567-24-000002", date(2024, 5, 20), *lots, owners=owners[1])
    assert bought(first, later)[0] == 4
    # an amendment of the first leaves the second a copy of it
    amended = filing(
        "0001234567-24-000003", date(2024, 5, 6), line(price="11", after="1100"), form="4/A", owners=owners[0],
        more="<dateOfOriginalSubmission>2024-05-02</dateOfOriginalSubmission>",
    )  # fmt: skip
    twice = filing(
        "0001234567-24-000004", date(2024, 5, 7), line(price="11", after="1100"), form="4/A", owners=owners[0],
        more="<dateOfOriginalSubmission>2024-05-02</dateOfOriginalSubmission>",
    )  # fmt: skip
    assert bought(first, again, amended) == bought(first, again, amended, twice) == (2, 200, 1)


def test_a_trade_of_no_shares_is_none():
    assert activity(filing(ORIGINAL, date(2024, 5, 3), line(shares="0"))) == {}


def test_trade_without_a_price_is_unpriced_not_worth_nothing():
    day = activity(filing(ORIGINAL, date(2024, 5, 3), line(price=None)))[date(2024, 5, 6)]
    assert (day["shares_bought_30d"], day["value_bought_30d"], day["unpriced_30d"]) == (100, None, 1)


def test_no_trades_and_no_sessions_are_empty_frames_of_the_schema():
    trades = compute.with_securities(compute.supersede(parse.ownership([]).trades), LISTINGS)
    for sessions in (SESSIONS, SESSIONS.clear()):
        assert dict(compute.activity(trades, sessions).schema) == compute.ACTIVITY
    assert compute.amended_issuers(trades) == []


def test_a_backfill_gives_what_each_session_gives_alone(monkeypatch):
    monkeypatch.setattr(compute, "SLICE", 2)
    documents = [
        filing(f"0001234567-24-{n:06}", date(2024, 5, 3), line(shares=str(n)), owners=(n,)) for n in range(1, 6)
    ]
    trades = compute.with_securities(compute.supersede(parse.ownership(documents).trades), LISTINGS)
    whole = compute.activity(trades, SESSIONS)
    alone = pl.concat([compute.activity(trades, SESSIONS.slice(n, 1)) for n in range(SESSIONS.height)])
    assert whole.equals(alone)
    assert whole["buyers_30d"].to_list() == [5, 5, 0]
