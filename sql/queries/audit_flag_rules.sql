UPDATE {stage} AS s SET rule = CASE {cases} END WHERE s.rule IS NULL AND ({broken});
