CREATE TEMPORARY TABLE withdrawn (published tid, reason text) ON COMMIT DROP;
