-- Companies with a share that is scored, listed or not, and those that were loaded once though they are in no list.
WITH RECURSIVE loaded AS (  -- one step of the key a company: there are thousands of facts of each
    SELECT min(cik) AS cik FROM closingbell.financial_facts
    UNION ALL
    SELECT (SELECT min(f.cik) FROM closingbell.financial_facts f WHERE f.cik > loaded.cik) FROM loaded WHERE loaded.cik IS NOT NULL
)
SELECT cik FROM closingbell.securities WHERE cik IS NOT NULL AND type IN ('CS', 'ADRC', 'OS', 'GDR')
UNION
SELECT cik FROM loaded WHERE cik IS NOT NULL
ORDER BY cik;
