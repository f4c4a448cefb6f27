SELECT security_id, cik, figi, name, share_class, type, type_inferred, exchange, shares_per_base, first_session, last_session
FROM closingbell.securities ORDER BY security_id;
