-- The newest version of each company.
SELECT DISTINCT ON (cik) cik, valid_from, name, sic, sic_description, sector, sector_source, fiscal_year_end, state,
       entity_type
FROM closingbell.companies ORDER BY cik, valid_from DESC;
