-- Quarters that have lines without a security, of CUSIPs that have one now.
SELECT DISTINCT quarter FROM closingbell.institutional_holdings
WHERE security_id IS NULL
  AND cusip IN (SELECT cusip FROM closingbell.mapped_cusips WHERE security_id IS NOT NULL)
ORDER BY quarter;
