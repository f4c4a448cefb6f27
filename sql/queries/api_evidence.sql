-- What the score of :security_id on :session (date) stands on, a line a metric, with what was known when.
SELECT metric, raw, peer_group, n, percentile, source_key, accession_nos, known_at, answers_sha256
FROM closingbell.score_inputs_by_metric WHERE security_id = :security_id AND session = :session;
