-- Of :factors (text[]) and overall_score the quartiles in :sector on :session (date).
SELECT f.name, count(*) AS n,
       percentile_cont(0.25) WITHIN GROUP (ORDER BY CAST(f.score AS double precision)) AS low,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(f.score AS double precision)) AS middle,
       percentile_cont(0.75) WITHIN GROUP (ORDER BY CAST(f.score AS double precision)) AS high
FROM closingbell.ic_scores AS s
CROSS JOIN LATERAL jsonb_each_text(to_jsonb(s)) AS f (name, score)
WHERE s.session = :session AND s.sector = :sector AND f.score IS NOT NULL
  AND f.name = ANY(array_append(CAST(:factors AS text[]), 'overall_score'))
GROUP BY f.name;
