-- The last day whose index was read by a run that published its facts, when that run began, and whether there are any
-- facts at all.
SELECT s.expected ->> 'watermark' AS watermark, s.opened_at, e.filled
FROM (SELECT EXISTS (SELECT FROM closingbell.financial_facts) AS filled) AS e
LEFT JOIN LATERAL (
    SELECT expected, opened_at FROM ops.stages
    WHERE table_name = 'financial_facts' AND status = 'published' AND expected ->> 'watermark' IS NOT NULL
    ORDER BY expected ->> 'watermark' DESC, opened_at DESC LIMIT 1
) AS s ON true;
