-- What sets earlier prices on another basis, by :last (date): splits, and spin-offs that vendors tell as splits.
SELECT security_id, ex_date, kind, numerator, denominator
FROM closingbell.corporate_actions WHERE kind IN ('split', 'spin_off') AND ex_date <= :last;
