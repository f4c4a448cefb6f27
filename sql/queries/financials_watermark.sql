-- The last day whose index was read by a run that published its facts, and whether there are any facts at all.
SELECT max(expected ->> 'watermark') AS watermark, EXISTS (SELECT FROM closingbell.financial_facts) AS filled
FROM ops.stages WHERE table_name = 'financial_facts' AND status = 'published';
