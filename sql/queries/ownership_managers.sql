-- The managers that the filings of :quarters (date[]) report for.
SELECT f.accession_no, m.included, m.sequence, m.manager_cik, m.file_number
FROM closingbell.institutional_filings AS f
CROSS JOIN LATERAL jsonb_to_recordset(f.managers)
    AS m (included boolean, sequence bigint, manager_cik bigint, file_number text)
WHERE f.quarter = ANY(CAST(:quarters AS date[])) AND m.included;
