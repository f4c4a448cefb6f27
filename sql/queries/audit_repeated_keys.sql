SELECT EXISTS (SELECT FROM {stage} GROUP BY {key} HAVING count(*) > 1);
