-- The ratings and articles that the score of :security_id on :session (date) stands on, as they were told by then: of each
-- metric the :most (integer) that became known last; a rating's title is its firm and what it said.
SELECT e.metric, e.kind, e.key, COALESCE(a.url, e.url) AS url, e.known_at,
       COALESCE(a.title, NULLIF(concat_ws(': ', r.analyst_firm, r.rating), '')) AS title
FROM (
    SELECT metric, kind, key, url, known_at, row_number() OVER (PARTITION BY metric ORDER BY known_at DESC, key) AS place
    FROM (
        SELECT DISTINCT metric, kind, key, url, known_at FROM closingbell.score_evidence
        WHERE security_id = :security_id AND session = :session AND kind IN ('rating', 'article')
    ) AS told
) AS e
JOIN closingbell.ic_scores AS i ON i.security_id = :security_id AND i.session = :session
LEFT JOIN LATERAL closingbell.article_told(CASE WHEN e.kind = 'article' THEN CAST(e.key AS bigint) END, i.known_at) AS a ON true
LEFT JOIN closingbell.ratings_known(:security_id, (
    SELECT known_at FROM closingbell.ic_scores WHERE security_id = :security_id AND session = :session
)) AS r ON e.kind = 'rating' AND r.vendor || ':' || r.rating_id = e.key
WHERE e.place <= CAST(:most AS integer)
ORDER BY e.metric, e.place;
