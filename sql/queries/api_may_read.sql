-- Whether this login may take the reader's role, where there is one.
SELECT EXISTS (
    SELECT FROM pg_roles WHERE rolname = 'closingbell_reader' AND pg_has_role(current_user, oid, 'MEMBER')
) AS may;
