SELECT max(fetched_at) AS newest FROM closingbell.companies
