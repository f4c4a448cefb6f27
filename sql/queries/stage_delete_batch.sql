DELETE FROM {stage} WHERE batch_id = :batch_id;
