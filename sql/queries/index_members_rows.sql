SELECT index_name, security_id, valid_from, valid_to, rank FROM closingbell.index_members;
