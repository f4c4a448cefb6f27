-- depends: 0026_run_failures
-- Vendors tell spin-offs as splits at odd ratios (GE 1253:1000): they adjust prices, not share counts. The rule is
-- closingbell.prices.compute.is_spin_off.
ALTER TABLE closingbell.corporate_actions DROP CONSTRAINT corporate_actions_kind_check;
ALTER TABLE closingbell.corporate_actions ADD CONSTRAINT corporate_actions_kind_check CHECK (kind IN ('split', 'spin_off', 'dividend'));
WITH told AS (
    SELECT security_id, ex_date, CAST(numerator AS numeric) / CAST(denominator AS numeric) AS ratio
    FROM closingbell.corporate_actions WHERE kind = 'split' AND numerator > denominator
)
UPDATE closingbell.corporate_actions AS a SET kind = 'spin_off'
FROM told
WHERE a.kind = 'split' AND (a.security_id, a.ex_date) = (told.security_id, told.ex_date)
  AND NOT EXISTS (SELECT FROM generate_series(1, 20) AS n WHERE abs(ratio * n - round(ratio * n)) < 1e-9)
  AND NOT (ratio <= 1.1 AND abs(ratio * 200 - round(ratio * 200)) < 1e-9)
  AND NOT (ratio > 1.5 AND abs(ratio / round(ratio) - 1) <= 0.01);
