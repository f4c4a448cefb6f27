-- The 13F filings of :quarters (date[]).
SELECT accession_no, form, report_type, institution_cik, file_number, quarter, known_at, amendment_no,
       amendment_type
FROM closingbell.institutional_filings WHERE quarter = ANY(CAST(:quarters AS date[]));
