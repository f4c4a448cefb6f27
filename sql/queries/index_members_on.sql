-- Members of an index on a day. :index_name text, :day date
SELECT security_id, rank, valid_from
FROM closingbell.index_members
WHERE index_name = :index_name AND valid_from <= CAST(:day AS date) AND (valid_to IS NULL OR valid_to >= CAST(:day AS date))
ORDER BY rank, security_id;
