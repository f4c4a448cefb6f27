-- fails where a key is there twice, and is the proof that none is where it stands; dropped when more is staged
CREATE UNIQUE INDEX {stage_key} ON {stage} ({key}) NULLS NOT DISTINCT;
