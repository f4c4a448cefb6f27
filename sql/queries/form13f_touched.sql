-- Quarters with filings that the stages :stages (text[]) brought, and the first moment that they change.
SELECT f.quarter, min(f.known_at) AS known_at
FROM closingbell.institutional_filings AS f
WHERE f.landing_id IN (SELECT unnest(landing_ids) FROM ops.stage_batches WHERE stage_id = ANY(CAST(:stages AS text[])))
GROUP BY f.quarter;
