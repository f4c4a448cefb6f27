SELECT max(partition_key) AS session FROM ops.load_ledger WHERE dataset = 'ic_scores' AND rows_in > 0
