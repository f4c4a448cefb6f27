-- Of each metric of the scores of :session (date) the day that its source row speaks of (scores/compute.py names its keys).
SELECT s.security_id, m.key AS metric,
       CAST(m.value -> 4 ->> CASE WHEN m.value -> 4 ->> 0 IN ('institutional_ownership', 'insider_trades') THEN 3 ELSE 2 END
            AS date) AS day
FROM closingbell.score_inputs AS s CROSS JOIN LATERAL jsonb_each(s.inputs) AS m
WHERE s.session = :session;
