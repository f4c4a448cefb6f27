-- Every landing of an ownership document, oldest first; an operator's file counts where EDGAR did not give the document.
SELECT landing_id
FROM ops.landings AS l
WHERE vendor = 'sec_edgar' AND endpoint = 'ownership'
  AND (request ->> 'method' = 'GET'
       OR NOT EXISTS (SELECT FROM ops.landings AS given
                      WHERE given.vendor = 'sec_edgar' AND given.endpoint = 'ownership' AND given.key = l.key
                        AND given.request ->> 'method' = 'GET'))
ORDER BY fetched_at, landing_id;
