-- The lines of a summary, and its own line "total", which a summary may do without.
SELECT account, cell, currency, '' AS item,
       SUM(CASE WHEN category = 'total' THEN 0 ELSE net END) AS figure,
       SUM(CASE WHEN category = 'total' THEN net ELSE 0 END) AS against,
       SUM(CASE WHEN category = 'total' THEN -gross ELSE gross END) AS gross_difference,
       SUM(CASE WHEN category = 'total' THEN -fee ELSE fee END) AS fee_difference,
       SUM(CASE WHEN category = 'total' THEN -line_count ELSE line_count END) AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM summary
GROUP BY account, cell, currency
HAVING SUM(CASE WHEN category = 'total' THEN 1 ELSE 0 END) > 0
