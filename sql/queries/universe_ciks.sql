-- Companies with a share that is scored, listed or not.
SELECT DISTINCT cik FROM closingbell.securities
WHERE cik IS NOT NULL AND type IN ('CS', 'ADRC', 'OS', 'GDR') ORDER BY cik;
