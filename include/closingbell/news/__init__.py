"""News: vendors' answers and web pages -> one stream of articles, their sentiment, and what a day's mood was."""
