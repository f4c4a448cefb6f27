DROP INDEX IF EXISTS staging.{stage_key};
