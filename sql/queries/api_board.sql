-- A page of the board of :session (date; NULL: the newest): those of :sector and :confidence (NULL: all) whose columns are
-- within :bounds (jsonb: {column: [least, most]}), by the column :sort, best first where :descending; those without it come
-- last. One row with `security_id` NULL where the page is empty, `board_session` NULL where there is no board.
WITH newest AS (
    SELECT session AS newest FROM ops.newest_scored
), board AS (
    SELECT s.*, CASE WHEN CAST(:sort AS text) = 'overall_score' THEN s.overall_score
                     ELSE CAST(j.by_name ->> CAST(:sort AS text) AS double precision) END AS sorted
    FROM closingbell.ic_scores AS s
    CROSS JOIN LATERAL (  -- names to columns, where they are asked for; once a row
        SELECT CASE WHEN CAST(:sort AS text) <> 'overall_score' OR CAST(:bounds AS jsonb) <> '{}' THEN to_jsonb(s) END AS by_name
        OFFSET 0
    ) AS j
    WHERE s.session = COALESCE(CAST(:session AS date), (SELECT newest FROM newest))
      AND (CAST(:sector AS text) IS NULL OR s.sector = CAST(:sector AS text))
      AND (CAST(:confidence AS text) IS NULL OR s.confidence = CAST(:confidence AS text))
      AND NOT EXISTS (
          SELECT FROM jsonb_each(CAST(:bounds AS jsonb)) AS b (name, span)
          WHERE (CAST(j.by_name ->> b.name AS double precision) BETWEEN
                 CAST(b.span ->> 0 AS double precision) AND CAST(b.span ->> 1 AS double precision)) IS NOT TRUE)
), page AS (
    SELECT b.*, row_number() OVER (
        ORDER BY CASE WHEN CAST(:descending AS boolean) THEN -b.sorted ELSE b.sorted END NULLS LAST, b.security_id
    ) AS place
    FROM board AS b
    ORDER BY place LIMIT CAST(:limit AS integer) OFFSET CAST(:offset AS integer)
)
SELECT n.newest, (SELECT count(*) FROM board) AS total,
       (SELECT session FROM closingbell.ic_scores
        WHERE session = COALESCE(CAST(:session AS date), n.newest) LIMIT 1) AS board_session,
       p.*, t.ticker, COALESCE(c.name, y.name) AS company_name
FROM newest AS n
LEFT JOIN page AS p ON true
LEFT JOIN closingbell.securities AS y USING (security_id)
LEFT JOIN LATERAL (
    SELECT h.ticker FROM closingbell.borne_tickers AS h
    WHERE h.security_id = p.security_id
    ORDER BY p.session BETWEEN h.valid_from AND COALESCE(h.valid_to, p.session) DESC,
             h.valid_from > p.session, abs(h.valid_from - p.session), h.ticker
    LIMIT 1
) AS t ON true
LEFT JOIN LATERAL (
    SELECT k.name FROM closingbell.companies AS k
    WHERE k.cik = y.cik
    ORDER BY k.valid_from > p.session, abs(k.valid_from - p.session)
    LIMIT 1
) AS c ON true
ORDER BY p.place;
