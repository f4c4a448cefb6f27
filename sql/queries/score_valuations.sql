-- Market values and yields of the sessions :first to :last (dates).
SELECT security_id, session, market_cap, earnings_yield, book_yield, sales_yield, statement_period_end
FROM closingbell.valuation_ratios WHERE session BETWEEN :first AND :last;
