"""Analysts' ratings and price targets: Benzinga's calendar -> rows, rows -> what a day's consensus was."""
