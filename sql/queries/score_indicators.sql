-- What the scores read of the indicators of the sessions :first to :last (dates).
SELECT security_id, session, close, rsi_14, macd_histogram, sma_50, adx_14,
       return_1m, return_3m, return_6m, return_12m
FROM closingbell.technical_indicators WHERE session BETWEEN :first AND :last;
