DELETE FROM {target} AS t USING withdrawn AS w WHERE t.ctid = w.published AND t.tableoid = w.part;
