-- How far back what is not loaded by security reaches at the close of :session (date), :close (timestamptz): days of insiders'
-- filings (90 at most, the longest window) where sums of the last five days are there; quarters of Forms 13F of the newest
-- four and a half that have at least half of the filers of the fullest; days of news that end with the session, up to the
-- last hole of more than five (weekends, and holidays beside them, have few).
SELECT (SELECT max(session) - max(filings_from) + 1 FROM closingbell.insider_activity
        WHERE session = (SELECT max(session) FROM closingbell.insider_activity
                         WHERE session BETWEEN CAST(:session AS date) - 5 AND :session)) AS insider_trades,
       (SELECT count(*)
        FROM (SELECT max(filers) AS filers, max(max(filers)) OVER () AS most
              FROM closingbell.institutional_ownership
              WHERE session <= :session AND quarter > CAST(:session AS date) - 426 GROUP BY quarter) AS q
        WHERE 2 * filers >= most) AS institutional_ownership,
       (SELECT CAST(:session AS date) - min(day) + 1
        FROM (SELECT day, max(day) FILTER (WHERE hole > 5) OVER () AS last_hole
              FROM (SELECT day, lead(day, 1, CAST(:session AS date)) OVER (ORDER BY day) - day AS hole
                    FROM (SELECT DISTINCT CAST(published_at AT TIME ZONE 'America/New_York' AS date) AS day
                          FROM closingbell.news_articles
                          WHERE published_at <= :close AND published_at > CAST(:close AS timestamptz) - interval '100 days'
                         ) AS days) AS held) AS seen
        WHERE last_hole IS NULL OR day > last_hole) AS news_sentiment;
