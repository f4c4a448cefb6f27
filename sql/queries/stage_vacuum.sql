VACUUM (ANALYZE) {stage};
