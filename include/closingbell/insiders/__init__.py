"""Trades of insiders: ownership documents (Forms 3, 4, 5) to transactions, and the net open-market buying they show."""
