CREATE TEMPORARY TABLE withdrawn (part oid, published tid, reason text) ON COMMIT DROP;
