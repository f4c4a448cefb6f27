-- Common shares that :words means, best first, at most :limit: a ticker, the beginning of one (:ticker, in the house's
-- spelling), words of a name that the company has or had, or a piece of one ("appl").
WITH found AS (
    SELECT security_id, CASE WHEN ticker = :ticker THEN 4 ELSE 3 + 1.0 / (1 + length(ticker)) END AS weight
    FROM closingbell.borne_tickers WHERE starts_with(ticker, :ticker)
    UNION ALL
    SELECT s.security_id, CASE WHEN to_tsvector('simple', c.name) @@ websearch_to_tsquery('simple', :words) THEN 2
                               ELSE word_similarity(:words, c.name) END
    FROM closingbell.companies AS c
    JOIN closingbell.securities AS s USING (cik)
    WHERE to_tsvector('simple', c.name) @@ websearch_to_tsquery('simple', :words) OR :words <% c.name
)
SELECT f.security_id
FROM found AS f
JOIN closingbell.securities AS s USING (security_id)
WHERE s.type IN ('CS', 'ADRC', 'OS', 'GDR')
GROUP BY f.security_id, s.last_session, s.name
ORDER BY max(f.weight) DESC, s.last_session DESC NULLS FIRST, length(s.name), f.security_id
LIMIT CAST(:limit AS integer);
