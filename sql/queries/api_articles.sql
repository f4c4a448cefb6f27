-- The :limit newest articles on :security_id of the 30 days before :known_at (timestamptz), as they were told by then, with
-- each source's score.
SELECT t.title, t.url, t.source, t.vendors, n.published_at, n.scores
FROM (
    SELECT a.article_id, a.published_at, jsonb_object_agg(s.model, s.score) AS scores
    FROM closingbell.news_sentiment AS s
    JOIN closingbell.news_articles AS a USING (article_id)
    WHERE s.security_id = :security_id AND s.known_at <= :known_at AND s.known_at > :known_at - interval '30 days'
    GROUP BY a.article_id
    ORDER BY a.published_at DESC, a.article_id
    LIMIT CAST(:limit AS integer)
) AS n
CROSS JOIN LATERAL closingbell.article_told(n.article_id, :known_at) AS t
ORDER BY n.published_at DESC, n.article_id;
