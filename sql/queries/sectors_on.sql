-- Sector of every company as known on a session; before its first known version the earliest stands, marked assumed.
-- :session date
SELECT DISTINCT ON (cik) cik, name, sector, sector_source, valid_from, valid_from > CAST(:session AS date) AS assumed
FROM closingbell.companies
ORDER BY cik, valid_from > CAST(:session AS date),
         CASE WHEN valid_from <= CAST(:session AS date) THEN valid_from END DESC, valid_from;
