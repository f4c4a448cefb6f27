-- The securities that the articles :ids (bigint[]) name, with their text and when both were told.
SELECT n.article_id, n.security_id, n.ticker, n.known_at, a.title, a.summary, a.url
FROM closingbell.news_mentions n JOIN closingbell.news_articles a USING (article_id)
WHERE n.article_id = ANY(CAST(:ids AS bigint[]))
ORDER BY n.article_id, n.security_id;
