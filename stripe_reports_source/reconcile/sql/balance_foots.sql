-- A balance summary is a stack of subtotals: opening + activity + payouts = closing, and each part = gross + fees.
WITH parts AS (
    SELECT account, cell, currency,
           SUM(CASE WHEN category = 'starting_balance' THEN net ELSE 0 END) AS opening,
           SUM(CASE WHEN category = 'activity_gross' THEN net ELSE 0 END) AS activity_gross,
           SUM(CASE WHEN category = 'activity_fee' THEN net ELSE 0 END) AS activity_fee,
           SUM(CASE WHEN category = 'activity' THEN net ELSE 0 END) AS activity,
           SUM(CASE WHEN category = 'payouts_gross' THEN net ELSE 0 END) AS payouts_gross,
           SUM(CASE WHEN category = 'payouts_fee' THEN net ELSE 0 END) AS payouts_fee,
           SUM(CASE WHEN category = 'payouts' THEN net ELSE 0 END) AS payouts,
           SUM(CASE WHEN category = 'ending_balance' THEN net ELSE 0 END) AS closing,
           SUM(CASE WHEN category IN ('activity_gross', 'payouts_gross') THEN 1 ELSE 0 END) AS split_lines
    FROM balance
    GROUP BY account, cell, currency
)
SELECT account, cell, currency, 'balance' AS item, opening + activity + payouts AS figure, closing AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM parts
WHERE currency <> '' OR opening + activity + payouts <> closing
UNION ALL
SELECT account, cell, currency, 'activity', activity_gross + activity_fee, activity, 0, 0, 0, '', '', NULL
FROM parts
WHERE split_lines > 0 AND (currency <> '' OR activity_gross + activity_fee <> activity)
UNION ALL
SELECT account, cell, currency, 'payouts', payouts_gross + payouts_fee, payouts, 0, 0, 0, '', '', NULL
FROM parts
WHERE split_lines > 0 AND (currency <> '' OR payouts_gross + payouts_fee <> payouts)
