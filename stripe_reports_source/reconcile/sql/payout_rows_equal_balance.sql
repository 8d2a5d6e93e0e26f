-- The rows of payouts, and the line "payouts" of the balance summary with its gross and its fees.
SELECT account, cell, currency, '' AS item, SUM(figure) AS figure, SUM(against) AS against,
       CASE WHEN SUM(split_lines) > 0 THEN SUM(gross) ELSE 0 END AS gross_difference,
       CASE WHEN SUM(split_lines) > 0 THEN SUM(fee) ELSE 0 END AS fee_difference, 0 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM (
    SELECT account, cell, currency, SUM(net) AS figure, 0 AS against, SUM(gross) AS gross, SUM(fee) AS fee,
           0 AS split_lines
    FROM payouts GROUP BY account, cell, currency
    UNION ALL
    SELECT account, cell, currency, 0,
           CASE WHEN category = 'payouts' THEN net ELSE 0 END,
           CASE WHEN category = 'payouts_gross' THEN -net ELSE 0 END,
           CASE WHEN category = 'payouts_fee' THEN -net ELSE 0 END,
           CASE WHEN category = 'payouts' THEN 0 ELSE 1 END
    FROM balance WHERE category IN ('payouts', 'payouts_gross', 'payouts_fee')
) AS both_sides
GROUP BY account, cell, currency
HAVING currency <> '' OR SUM(figure) <> 0 OR SUM(against) <> 0
