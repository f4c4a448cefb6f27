-- Securities listed before the window's first sessions that have not one bar in :first to :last (dates), though others
-- do: new to the universe, their bars are in answers that are landed already.
SELECT s.security_id
FROM closingbell.securities s
WHERE s.type IN ('CS', 'ADRC', 'OS', 'GDR')
  AND COALESCE(s.first_session, :first) < :last AND COALESCE(s.last_session, :last) >= :first
  AND NOT EXISTS (SELECT FROM closingbell.stock_prices p
                  WHERE p.security_id = s.security_id AND p.session BETWEEN :first AND :last)
ORDER BY s.security_id;
