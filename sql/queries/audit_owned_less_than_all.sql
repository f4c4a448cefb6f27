SELECT security_id, quarter, max(share_owned) AS share_owned
FROM {batch} WHERE share_owned > 1 GROUP BY security_id, quarter ORDER BY 3 DESC LIMIT 200
