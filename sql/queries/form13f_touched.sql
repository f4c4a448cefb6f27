-- Quarters with filings published since ownership was last loaded (by an older run or a replay, too), and the first moment
-- that they change.
SELECT f.quarter, min(f.known_at) AS known_at
FROM closingbell.institutional_filings AS f
JOIN ops.published_landings AS p ON p.landing_id = f.landing_id AND p.table_name = 'institutional_filings'
WHERE p.published_at > coalesce((SELECT max(CAST(expected ->> 'upto' AS timestamptz)) FROM ops.stages
                                 WHERE table_name = 'institutional_ownership' AND status = 'published'), '-infinity')
GROUP BY f.quarter;
