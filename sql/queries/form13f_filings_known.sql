-- Of the filings :accession_nos (text[]) those that are here, with the moment each became known.
SELECT accession_no, known_at FROM closingbell.institutional_filings
WHERE accession_no = ANY(CAST(:accession_nos AS text[]));
