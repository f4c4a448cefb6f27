-- The session of the newest board; NULL before there is one.
SELECT session FROM ops.newest_scored;
