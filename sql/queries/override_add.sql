INSERT INTO ops.overrides (kind, subject, reason, author)
VALUES (:kind, CAST(:subject AS jsonb), :reason, :author)
RETURNING override_id;
