-- Some filers err, and few filings prove nothing.
SELECT count(*) AS filings, count(*) FILTER (WHERE NOT reconciled) AS not_reconciled
FROM {batch} WHERE reconciled IS NOT NULL
HAVING count(*) FILTER (WHERE NOT reconciled) > greatest(10, count(*) / 10)
