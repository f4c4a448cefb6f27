SELECT {key}, count(*) AS rows FROM {batch} GROUP BY {key} HAVING count(*) > 1 LIMIT 20
