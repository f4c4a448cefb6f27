-- depends: 0010_plans_and_evidence
-- Each metric of a score with what it stands on: the filings its statement rows were made of, when the last of them was
-- known, and the raw answers (of the statement rows, and of the session's bar).
CREATE OR REPLACE VIEW closingbell.score_inputs_by_metric AS
SELECT s.security_id, s.session, m.key AS metric,
       (m.value ->> 0)::double precision AS raw, m.value ->> 1 AS peer_group,
       (m.value ->> 2)::integer AS n, (m.value ->> 3)::double precision AS percentile, m.value -> 4 AS source_key,
       e.accession_nos, e.known_at, e.landing_ids, e.answers_sha256
FROM closingbell.score_inputs s
CROSS JOIN LATERAL jsonb_each(s.inputs) AS m
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT a.accession_no) FILTER (WHERE a.accession_no IS NOT NULL) AS accession_nos,
           max(u.known_at) AS known_at,
           array_agg(DISTINCT u.landing_id) FILTER (WHERE u.landing_id IS NOT NULL) AS landing_ids,
           array_agg(DISTINCT l.sha256) FILTER (WHERE l.sha256 IS NOT NULL) AS answers_sha256
    FROM (
        SELECT f.source_accession_nos, f.known_at, f.landing_id
        FROM closingbell.financials f
        WHERE m.value -> 4 ->> 0 = 'financials' AND f.cik = (m.value -> 4 ->> 1)::bigint
          AND ((f.period_end, f.period_type, f.known_on)
                   = ((m.value -> 4 ->> 2)::date, m.value -> 4 ->> 3, (m.value -> 4 ->> 4)::date)
               OR (f.period_end, f.period_type, f.known_on)  -- growth: the row years before
                   = ((m.value -> 4 ->> 5)::date, m.value -> 4 ->> 6, (m.value -> 4 ->> 7)::date))
        UNION ALL
        SELECT f.source_accession_nos, f.known_at, f.landing_id
        FROM closingbell.valuation_ratios v
        JOIN closingbell.securities c ON c.security_id = v.security_id
        JOIN closingbell.financials f ON f.cik = c.cik AND f.period_end = v.statement_period_end
                                     AND f.known_on = v.statement_known_on AND f.period_type IN ('TTM', 'FY')
        WHERE m.value -> 4 ->> 0 = 'valuation_ratios' AND v.security_id = s.security_id AND v.session = s.session
        UNION ALL
        SELECT '{}', NULL, p.landing_id
        FROM closingbell.stock_prices p
        WHERE m.value -> 4 ->> 0 IN ('valuation_ratios', 'technical_indicators')
          AND p.security_id = s.security_id AND p.session = s.session
    ) AS u
    LEFT JOIN LATERAL unnest(u.source_accession_nos) AS a (accession_no) ON true
    LEFT JOIN ops.landings l ON l.landing_id = u.landing_id
) AS e;
