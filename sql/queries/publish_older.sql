SELECT count(*) FROM matched WHERE NOT yields;
