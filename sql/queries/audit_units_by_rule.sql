SELECT accession_no, institution_name, filed_on, value_unit
FROM {batch} WHERE 'unit against the rule' = ANY(problems) ORDER BY 1
