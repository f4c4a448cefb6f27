-- Scores of articles published after :first and up to :last (timestamptz); scored_at: when one of our models (:ours text[])
-- did, null of a vendor's.
SELECT article_id, security_id, model AS source, score, relevance, known_at AS published_at,
       CASE WHEN model = ANY(CAST(:ours AS text[])) THEN fetched_at END AS scored_at
FROM closingbell.news_sentiment WHERE known_at > :first AND known_at <= :last;
