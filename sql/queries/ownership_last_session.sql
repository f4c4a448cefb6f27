-- The last session that has ownership, and the moment of asking.
SELECT (SELECT max(session) FROM closingbell.institutional_ownership) AS session, clock_timestamp() AS upto;
