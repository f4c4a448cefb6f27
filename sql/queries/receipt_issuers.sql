-- Companies, among those with a share whose type no vendor said, whose shares may trade as depositary receipts by what EDGAR had
-- accepted at :as_of (timestamptz): an F-6 registers receipts, and a 20-F, or a 6-K before the first yearly report, is a
-- foreign company's. A 40-F is a Canadian company's, whose own shares are listed.
WITH told AS (
    SELECT f.cik, f.form, f.known_at
    FROM closingbell.filings AS f
    WHERE f.known_at <= :as_of AND f.form ~ '^(F-6|20-F|40-F|10-K|10-Q|6-K)'
      AND f.cik IN (SELECT cik FROM closingbell.securities WHERE type_inferred AND type IN ('CS', 'ADRC', 'OS', 'GDR'))
), newest AS (
    SELECT DISTINCT ON (cik) cik, form FROM told WHERE form !~ '^F-6' ORDER BY cik, form ~ '^(10-Q|6-K)', known_at DESC
)
SELECT cik FROM newest WHERE form ~ '^(20-F|6-K)'
UNION
SELECT cik FROM told WHERE form ~ '^F-6'
ORDER BY cik;
