-- What the score of :security_id on :session (date) stands on, a line a metric, with what was known when; of many filings
-- and raw answers the first :most (integer), and how many filings there are.
SELECT metric, raw, peer_group, n, percentile, source_key, known_at,
       accession_nos[1:CAST(:most AS integer)] AS accession_nos, COALESCE(cardinality(accession_nos), 0) AS filings_total,
       answers_sha256[1:CAST(:most AS integer)] AS answers_sha256
FROM closingbell.score_inputs_by_metric WHERE security_id = :security_id AND session = :session;
