"""Holdings of institutions: 13F data sets and filings to positions in dollars, and each day's known ownership."""
