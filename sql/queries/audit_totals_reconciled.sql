SELECT accession_no, institution_name, problems FROM {batch} WHERE NOT reconciled ORDER BY 1
