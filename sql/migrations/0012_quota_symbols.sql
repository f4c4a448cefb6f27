-- depends: 0008_partition_claims
-- Plans that allow a number of different symbols a month (Tiingo's free one): which were asked for, by the vendor's local month.
ALTER TABLE ops.vendor_quota
    ADD COLUMN symbol_limit bigint,
    ADD COLUMN month        date,
    ADD COLUMN symbols      text[] NOT NULL DEFAULT '{}';
