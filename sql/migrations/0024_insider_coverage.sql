-- depends: 0020_insiders
-- Sums of a window that begins before this day are of a part of it. NULL: only single documents were loaded, no day's index.
ALTER TABLE closingbell.insider_activity ADD COLUMN filings_from date;
