-- The landings and batches of the rows that are published, with how many rows and two 64-bit folds of their hashes by xor:
-- no key is there twice, so the folds are equal whatever the order and the batches. Lineage is not in them.
CREATE TEMPORARY TABLE landed ON COMMIT DROP AS
SELECT landing_id, batch_id, count(*) AS rows, bit_xor(hash) AS folded, bit_xor(hashint8extended(hash, 1)) AS folded_again
FROM (SELECT landing_id, batch_id, hash_record_extended(ROW({content}), 0) AS hash FROM {stage} WHERE rule IS NULL) AS r
GROUP BY landing_id, batch_id;
