-- the sums of two 64-bit row hashes: equal whatever the order and the batches, and not of lineage
SELECT count(*) AS rows, concat_ws(' ', count(*), sum(hash_record_extended(ROW({content}), 0)::numeric),
                                   sum(hash_record_extended(ROW({content}), 1)::numeric)) AS fingerprint
FROM {stage}
WHERE rule IS NULL;
