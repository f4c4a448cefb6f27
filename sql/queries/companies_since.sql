-- Companies first seen on :since (date) or later.
SELECT cik FROM closingbell.companies GROUP BY cik HAVING min(valid_from) >= :since;
