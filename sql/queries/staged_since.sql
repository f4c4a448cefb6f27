-- `since`: the moment since which those rows of the table :dataset were staged that were published after the load of :reader
-- read it last; null where it never did. `upto`: the publication that it reads up to now: those of one table come one
-- after the other. A stage that was opened again does not say when it was opened before: none waits for a month.
SELECT CASE WHEN read.upto IS NOT NULL THEN (
           SELECT coalesce(min(coalesce(s.opened_at, l.loaded_at - interval '1 month')), clock_timestamp())
           FROM ops.load_ledger AS l LEFT JOIN ops.stages AS s USING (stage_id, round)
           WHERE l.dataset = :dataset AND l.ledger_id > read.upto) END AS since,
       (SELECT max(ledger_id) FROM ops.load_ledger WHERE dataset = :dataset) AS upto
FROM (SELECT) AS one LEFT JOIN (
    SELECT CAST(expected ->> 'upto' AS bigint) AS upto
    FROM ops.stages WHERE table_name = :reader AND status = 'published' AND expected ->> 'upto' IS NOT NULL
    ORDER BY published_at DESC LIMIT 1
) AS read ON true;
