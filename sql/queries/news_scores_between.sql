-- Scores of articles published after :first and up to :last (timestamptz).
SELECT article_id, security_id, model AS source, score, relevance, known_at AS published_at
FROM closingbell.news_sentiment WHERE known_at > :first AND known_at <= :last;
