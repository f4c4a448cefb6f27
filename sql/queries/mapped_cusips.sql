-- Which security a CUSIP stands for from a day on, operators' overrides included.
SELECT cusip, valid_from, ticker, security_id FROM closingbell.mapped_cusips ORDER BY cusip, valid_from;
