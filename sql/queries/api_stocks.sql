-- Listed common shares by ticker, of :sector (NULL: all), or :securities (bigint[]), listed or not; a page of them, and
-- `total`. Names, sectors and ranks as known now.
WITH named AS (
    SELECT DISTINCT ON (security_id) security_id, ticker
    FROM closingbell.borne_tickers
    WHERE CAST(:securities AS bigint[]) IS NULL OR security_id = ANY(CAST(:securities AS bigint[]))
    ORDER BY security_id, valid_to DESC NULLS FIRST, valid_from DESC, ticker
), company AS (
    SELECT cik, (array_agg(name ORDER BY valid_from DESC))[1] AS name,
           (array_agg(sector ORDER BY valid_from DESC) FILTER (WHERE sector IS NOT NULL))[1] AS sector
    FROM closingbell.companies GROUP BY cik
), ranked AS (  -- a company's rank is that of all its shares
    SELECT s.cik, min(f.rank) AS rank
    FROM closingbell.index_members AS f
    JOIN closingbell.securities AS s USING (security_id)
    WHERE f.index_name = 'fortune500' AND f.valid_to IS NULL GROUP BY s.cik
), stocks AS (
    SELECT s.security_id AS id, n.ticker AS symbol, COALESCE(c.name, s.name) AS company_name, c.sector,
           r.rank AS fortune_500_rank, s.last_session
    FROM closingbell.securities AS s
    JOIN named AS n USING (security_id)
    LEFT JOIN company AS c ON c.cik = s.cik
    LEFT JOIN ranked AS r ON r.cik = s.cik
    WHERE (CAST(:securities AS bigint[]) IS NOT NULL
           OR (s.type IN ('CS', 'ADRC', 'OS', 'GDR') AND s.last_session IS NULL))
      AND (CAST(:sector AS text) IS NULL OR c.sector = CAST(:sector AS text))
)
SELECT t.total, p.*
FROM (SELECT count(*) AS total FROM stocks) AS t
LEFT JOIN (
    SELECT * FROM stocks ORDER BY symbol COLLATE "C", id LIMIT CAST(:limit AS integer) OFFSET CAST(:offset AS integer)
) AS p ON true
ORDER BY p.symbol COLLATE "C", p.id;
