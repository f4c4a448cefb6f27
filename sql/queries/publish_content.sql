SELECT coalesce(sum(rows), 0)::bigint AS rows,
       concat_ws(' ', coalesce(sum(rows), 0), bit_xor(folded), bit_xor(folded_again)) AS fingerprint
FROM landed;
