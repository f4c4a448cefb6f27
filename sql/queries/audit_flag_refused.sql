-- afresh: rows that the parser refused, by the reason before the colon, and no other
UPDATE {stage} SET rule = split_part(refused, ':', 1) WHERE rule IS DISTINCT FROM split_part(refused, ':', 1);
