SELECT index_name, security_id, valid_from, valid_to, rank, landing_id, fetched_at FROM closingbell.index_members;
