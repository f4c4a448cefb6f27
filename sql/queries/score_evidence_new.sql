-- Filings, ratings and articles that the score of :security_id on :session (date) stands on and the one of :before (date)
-- did not: of each metric how many, and the three that became known last.
SELECT metric, total, kind, key, known_at
FROM (SELECT *, count(*) OVER (PARTITION BY metric) AS total,
             row_number() OVER (PARTITION BY metric ORDER BY known_at DESC, key) AS place
      FROM (SELECT metric, kind, key, known_at FROM closingbell.score_evidence
            WHERE security_id = :security_id AND session = :session AND kind <> 'bar'
            EXCEPT
            SELECT metric, kind, key, known_at FROM closingbell.score_evidence
            WHERE security_id = :security_id AND session = :before) AS new) AS numbered
WHERE place <= 3 ORDER BY metric, place;
