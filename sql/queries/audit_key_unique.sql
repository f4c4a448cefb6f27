-- nothing to look for where the stage's unique index stands
SELECT {key}, count(*) AS rows
FROM {batch}
WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = '{stage}'::regclass AND indisunique AND indisvalid)
GROUP BY {key}
HAVING count(*) > 1
LIMIT 20
