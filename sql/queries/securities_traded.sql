-- Shares that are scored and had a bar on :session (date), still listed on :until (date).
SELECT p.security_id
FROM closingbell.stock_prices p JOIN closingbell.securities s USING (security_id)
WHERE p.session = :session AND s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND COALESCE(s.last_session, :until) >= :until
ORDER BY p.security_id;
