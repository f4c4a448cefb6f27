-- more than half of the stories that name tickers name none that somebody bore when they were published
SELECT count(*) AS stories, count(*) FILTER (WHERE NOT known) AS of_nobody
FROM (
    SELECT bool_or(h.ticker IS NOT NULL) AS known
    FROM {batch} AS s
    CROSS JOIN LATERAL unnest(s.tickers) AS t (ticker)
    LEFT JOIN closingbell.borne_tickers AS h
      ON h.ticker = t.ticker AND h.valid_from <= CAST(s.published_at AT TIME ZONE 'America/New_York' AS date)
     AND coalesce(h.valid_to, 'infinity') >= CAST(s.published_at AT TIME ZONE 'America/New_York' AS date)
    GROUP BY s.vendor, s.vendor_id
) AS named
HAVING count(*) FILTER (WHERE NOT known) > 0.5 * count(*)
