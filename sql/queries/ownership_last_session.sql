SELECT max(session) AS session FROM closingbell.institutional_ownership;
