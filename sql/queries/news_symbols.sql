-- Tickers listed on :session (date) in the order in which the vendor of targeted news is to be asked for them: members
-- of the S&P 500 first, then never asked, then longest ago. Narrowed to :tickers (text[] or null); at most :most. Each with
-- the moment `until` which it was read, and the newest part before that, since :since (timestamptz) or since its first
-- window where that was earlier, which no window covers; null where none is missing.
SELECT t.ticker, upper(r.windows) AS until, lower(l.part) AS left_from, upper(l.part) AS left_to
FROM closingbell.borne_tickers t
JOIN closingbell.securities s USING (security_id)
LEFT JOIN ops.news_read AS r ON r.stream = 'marketaux:' || t.ticker
LEFT JOIN LATERAL (
    SELECT part
    FROM unnest(tstzmultirange(tstzrange(least(lower(r.windows), :since), upper(r.windows))) - r.windows) AS part
    ORDER BY part DESC LIMIT 1
) AS l ON true
LEFT JOIN (SELECT DISTINCT security_id FROM closingbell.index_members
           WHERE index_name = 'sp500' AND valid_to IS NULL) AS i USING (security_id)
WHERE t.valid_from <= :session AND coalesce(t.valid_to, :session) >= :session
  AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND (CAST(:tickers AS text[]) IS NULL OR t.ticker = ANY(CAST(:tickers AS text[])))
ORDER BY (i.security_id IS NULL), upper(r.windows) NULLS FIRST, t.ticker
LIMIT :most;
