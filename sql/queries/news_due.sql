-- Articles that name a security and wait for scores: those whose copies changed since the last scores were published,
-- and those published since :since (timestamptz) that :model, :version has not scored. :ask boolean: the model is asked
-- over the network, whose landed answers say what it has scored; not again where it failed :tries times. :all boolean: every
-- article.
WITH last AS (
    SELECT coalesce(max(opened_at), '-infinity') AS at FROM ops.stages
    WHERE table_name = 'news_sentiment' AND status = 'published'
)
SELECT a.article_id
FROM closingbell.news_articles a
WHERE (:all
    OR a.article_id IN (SELECT m.article_id FROM closingbell.news_members m CROSS JOIN last WHERE m.fetched_at >= last.at)
    OR a.published_at >= :since AND a.url NOT LIKE 'fnspid:%' AND (
        NOT :ask AND EXISTS (
            SELECT FROM closingbell.news_mentions n WHERE n.article_id = a.article_id AND NOT EXISTS (
                SELECT FROM closingbell.news_sentiment s
                WHERE s.article_id = n.article_id AND s.security_id = n.security_id AND s.model = :model
                  AND s.model_version = :version))
        OR :ask AND NOT EXISTS (
            SELECT FROM ops.landings l
            WHERE l.vendor = 'gemini' AND l.endpoint = 'generate_content' AND l.key = a.article_id || ':' || :version)
              AND NOT EXISTS (
            SELECT FROM ops.fetch_failures f
            WHERE f.vendor = 'gemini' AND f.endpoint = 'generate_content' AND f.key = a.article_id || ':' || :version
              AND f.resolved_at IS NULL AND f.attempts >= :tries)))
  AND EXISTS (SELECT FROM closingbell.news_mentions n WHERE n.article_id = a.article_id)
ORDER BY a.published_at, a.article_id;
