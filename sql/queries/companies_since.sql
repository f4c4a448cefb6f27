-- Companies first seen after :moment (timestamptz).
SELECT cik FROM closingbell.companies GROUP BY cik HAVING min(fetched_at) > :moment;
