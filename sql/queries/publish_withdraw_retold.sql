-- An answer of company facts tells all of its company. Rows of the companies staged here that an earlier answer gave and this
-- one does not; where one answered later was published already, this one withdraws nothing.
INSERT INTO withdrawn
WITH here AS (
    SELECT DISTINCT unnest(landing_ids) AS landing_id FROM ops.stage_batches WHERE stage_id = :stage_id
), facts AS (
    SELECT landing_id, endpoint, key, fetched_at FROM ops.landings
    WHERE vendor = 'sec_edgar' AND endpoint IN ('companyfacts', 'companyfacts_zip')
), others AS (
    SELECT f.* FROM facts AS f JOIN ops.published_landings AS p USING (landing_id)
    WHERE p.table_name = :table AND landing_id NOT IN (SELECT landing_id FROM here)
), told AS (
    SELECT s.cik, landing_id, f.fetched_at
    FROM (SELECT DISTINCT cik, landing_id FROM {stage} WHERE rule IS NULL) AS s JOIN facts AS f USING (landing_id)
    WHERE NOT EXISTS (SELECT FROM others AS o
                      WHERE o.endpoint = 'companyfacts' AND o.key = lpad(s.cik::text, 10, '0')
                        AND (o.fetched_at, o.landing_id) > (f.fetched_at, f.landing_id))
      AND NOT EXISTS (SELECT FROM others AS o
                      WHERE o.endpoint = 'companyfacts_zip'
                        AND (o.fetched_at, o.landing_id) > (f.fetched_at, f.landing_id))
)
SELECT DISTINCT t.tableoid, t.ctid, 'no longer given'
FROM told
JOIN {target} AS t USING (cik)
JOIN facts AS earlier ON earlier.landing_id = t.landing_id
WHERE (earlier.fetched_at, earlier.landing_id) <= (told.fetched_at, told.landing_id)
  AND NOT EXISTS (SELECT FROM matched AS m WHERE m.published = t.ctid AND m.part = t.tableoid)
  AND NOT EXISTS (SELECT FROM withdrawn AS w WHERE w.published = t.ctid AND w.part = t.tableoid);
