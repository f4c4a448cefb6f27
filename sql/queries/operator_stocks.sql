-- The operator's own table of stocks, in the operator's own database.
SELECT symbol, name, cik, sector FROM stocks ORDER BY symbol;
