-- CIKs (as keys) whose company facts were asked for after the zip :landing_id.
SELECT DISTINCT l.key
FROM ops.landings AS l
JOIN ops.landings AS zip ON zip.landing_id = :landing_id AND (l.fetched_at, l.landing_id) > (zip.fetched_at, zip.landing_id)
WHERE l.vendor = 'sec_edgar' AND l.endpoint = 'companyfacts';
