-- From where each stream is to be read on: the first moment since :since (timestamptz), or since its first window where
-- that was earlier, that no window of its published runs covers; the end of the last window where none is missing.
SELECT stream,
       coalesce(lower(tstzmultirange(tstzrange(least(lower(windows), :since), upper(windows))) - windows), upper(windows)) AS read_to
FROM ops.news_read;
