UPDATE {stage} SET rule = NULL WHERE rule IS NOT NULL;
