-- How many members the S&P 500 has on :session (date) by its rows, and the New York day that the first of them is from.
SELECT count(*) FILTER (WHERE valid_from <= :session AND COALESCE(valid_to, :session) >= :session) AS members,
       CAST(min(fetched_at) AT TIME ZONE 'America/New_York' AS date) AS read_on
FROM closingbell.index_members
WHERE index_name = 'sp500';
