-- Data sets whose rows are published, by name.
SELECT DISTINCT l.key AS name
FROM ops.landings AS l JOIN ops.published_landings AS p USING (landing_id)
WHERE p.table_name = 'institutional_filings' AND l.vendor = 'sec_edgar' AND l.endpoint = 'form13f_set';
