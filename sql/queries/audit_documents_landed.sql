SELECT accession_no
FROM ops.stages AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.expected -> 'documents') AS accession_no
WHERE s.stage_id = '{stage_id}' AND NOT EXISTS (SELECT FROM {batch} WHERE false)
  AND NOT EXISTS (SELECT FROM ops.landings AS l
                  WHERE l.vendor = 'sec_edgar' AND l.endpoint = 'ownership' AND l.key = accession_no)
ORDER BY 1
