-- The ratings and articles that the score of :security_id on :session (date) stands on: of each metric the :most (integer)
-- that became known last; a rating's title is its firm and what it said.
SELECT e.metric, e.kind, e.key, e.url, e.known_at,
       COALESCE(a.title, NULLIF(concat_ws(': ', r.analyst_firm, r.rating), '')) AS title
FROM (
    SELECT metric, kind, key, url, known_at, row_number() OVER (PARTITION BY metric ORDER BY known_at DESC, key) AS place
    FROM (
        SELECT DISTINCT metric, kind, key, url, known_at FROM closingbell.score_evidence
        WHERE security_id = :security_id AND session = :session AND kind IN ('rating', 'article')
    ) AS told
) AS e
LEFT JOIN closingbell.news_articles AS a ON a.article_id = CASE WHEN e.kind = 'article' THEN CAST(e.key AS bigint) END
LEFT JOIN closingbell.analyst_ratings AS r
  ON e.kind = 'rating' AND r.security_id = :security_id AND r.vendor || ':' || r.rating_id = e.key
WHERE e.place <= CAST(:most AS integer)
ORDER BY e.metric, e.place;
