-- depends: 0027_spin_offs
-- Without Polygon no vendor says what a listing is: its type is inferred from ticker, name and the company's other tickers.
ALTER TABLE closingbell.securities ADD COLUMN type_inferred boolean NOT NULL DEFAULT false;
UPDATE closingbell.securities AS s SET type_inferred = true
FROM ops.landings AS l WHERE l.landing_id = s.landing_id AND l.vendor <> 'polygon';
