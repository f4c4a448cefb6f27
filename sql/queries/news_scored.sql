-- Scores that our :models (text[]) have given to the articles :ids (bigint[]) already.
SELECT article_id, security_id, model, model_version, score, relevance, impact, known_at, landing_id
FROM closingbell.news_sentiment
WHERE article_id = ANY(CAST(:ids AS bigint[])) AND model = ANY(CAST(:models AS text[]));
