-- Filings known of these companies. :ciks bigint[]
SELECT accession_no, cik, form, filed_on, known_at, known_at_source, report_date
FROM closingbell.filings WHERE cik = ANY(CAST(:ciks AS bigint[]));
