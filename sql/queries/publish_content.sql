-- two 64-bit row hashes folded by xor, for no key is there twice: equal whatever the order and the batches, and not of
-- lineage
SELECT count(*) AS rows, concat_ws(' ', count(*), bit_xor(hash_record_extended(ROW({content}), 0)),
                                   bit_xor(hash_record_extended(ROW({content}), 1))) AS fingerprint
FROM {stage}
WHERE rule IS NULL;
