-- rows that the parser refused, by the reason before the colon
UPDATE {stage} SET rule = split_part(refused, ':', 1) WHERE refused IS NOT NULL;
