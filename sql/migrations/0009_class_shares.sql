-- depends: 0008_partition_claims
-- Outstanding shares of one share class as a vendor gave them on a day, which is also their split basis. In
-- closingbell.securities they had one value, so that a newer one changed the valuation of older sessions.
CREATE TABLE closingbell.class_shares (
    security_id bigint NOT NULL,
    valid_from  date NOT NULL,
    shares      double precision NOT NULL,
    landing_id  bigint,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (security_id, valid_from)
);
INSERT INTO closingbell.class_shares (security_id, valid_from, shares, landing_id, fetched_at)
SELECT security_id, class_shares_on, class_shares, landing_id, fetched_at
FROM closingbell.securities WHERE class_shares IS NOT NULL AND class_shares_on IS NOT NULL;
ALTER TABLE closingbell.securities DROP COLUMN class_shares, DROP COLUMN class_shares_on;

-- Who bore which ticker when. From its first day on an operator's map_ticker override stands in place of what the vendors
-- say, up to the next one of the same ticker; intervals that never were (valid_to before valid_from) are left out.
CREATE VIEW closingbell.borne_tickers AS
WITH mapped AS (
    SELECT subject ->> 'ticker' AS ticker, CAST(subject ->> 'valid_from' AS date) AS valid_from,
           CAST(subject ->> 'security_id' AS bigint) AS security_id, override_id
    FROM ops.overrides WHERE kind = 'map_ticker' AND ended_at IS NULL
), intervals AS (
    SELECT h.ticker, h.valid_from, LEAST(h.valid_to, m.first_day - 1) AS valid_to, h.security_id
    FROM closingbell.ticker_history h
    LEFT JOIN (SELECT ticker, min(valid_from) AS first_day FROM mapped GROUP BY ticker) m USING (ticker)
    UNION ALL
    SELECT ticker, valid_from, lead(valid_from) OVER (PARTITION BY ticker ORDER BY valid_from, override_id) - 1, security_id
    FROM mapped
)
SELECT ticker, valid_from, valid_to, security_id FROM intervals WHERE valid_to IS NULL OR valid_to >= valid_from;
