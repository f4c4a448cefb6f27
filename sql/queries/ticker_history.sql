-- Who bore which ticker when, as the vendors and the operator say.
SELECT ticker, valid_from, valid_to, security_id FROM closingbell.borne_tickers ORDER BY ticker, valid_from;
