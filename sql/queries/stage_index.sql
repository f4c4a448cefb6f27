-- the audit groups by key and counts by it: from a vacuumed index, not by sorting the rows each time
CREATE INDEX IF NOT EXISTS {stage_key} ON {stage} ({key}) INCLUDE (rule);
