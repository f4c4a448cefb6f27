SELECT override_id, kind, subject ->> 'ticker' AS ticker, subject ->> 'cusip' AS cusip,
       CAST(subject ->> 'security_id' AS bigint) AS security_id, CAST(subject ->> 'session' AS date) AS session,
       CAST(subject ->> 'valid_from' AS date) AS valid_from, reason, author, created_at
FROM ops.overrides
WHERE ended_at IS NULL AND (CAST(:kind AS text) IS NULL OR kind = :kind)
ORDER BY override_id;
