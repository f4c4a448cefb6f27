SELECT q.refused, s.staged
FROM (SELECT count(*) AS refused FROM ops.quarantine
      WHERE stage_id = '{stage_id}' AND content -> 'refused' IS NOT NULL AND rule NOT IN ('no accession', 'no filing date')) AS q
CROSS JOIN (SELECT sum(rows) AS staged FROM ops.stage_batches WHERE stage_id = '{stage_id}') AS s
WHERE q.refused > 20 AND q.refused > 0.1 * s.staged AND NOT EXISTS (SELECT FROM {batch} WHERE false)
