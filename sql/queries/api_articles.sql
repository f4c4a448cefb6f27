-- The :limit newest articles on :security_id of the 30 days before :known_at (timestamptz), with each source's score.
SELECT a.title, a.url, a.source, a.vendors, a.published_at, jsonb_object_agg(n.model, n.score) AS scores
FROM closingbell.news_sentiment AS n
JOIN closingbell.news_articles AS a USING (article_id)
WHERE n.security_id = :security_id AND n.known_at <= :known_at AND n.known_at > :known_at - interval '30 days'
GROUP BY a.article_id
ORDER BY a.published_at DESC, a.article_id
LIMIT CAST(:limit AS integer);
