-- The newest :periods (integer) quarters of :cik as known at :known_at (timestamptz), newest first, each with how many versions
-- of it were known by then, when the first was, and what it said.
WITH known AS (
    SELECT f.*, count(*) OVER of_period AS versions, min(f.known_at) OVER of_period AS first_known_at,
           first_value(to_jsonb(f)) OVER (of_period ORDER BY f.known_at, f.known_on) AS first_told,
           row_number() OVER (PARTITION BY f.period_end ORDER BY f.known_at DESC, f.known_on DESC) AS newest
    FROM closingbell.financials AS f
    WHERE f.cik = :cik AND f.period_type = 'Q' AND f.known_at <= :known_at
    WINDOW of_period AS (PARTITION BY f.period_end)
)
SELECT * FROM known WHERE newest = 1 ORDER BY period_end DESC LIMIT CAST(:periods AS integer);
