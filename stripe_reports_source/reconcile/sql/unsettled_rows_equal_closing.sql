-- What no payout has paid at the end of a cell, and the closing balance. A payout without rows (manual, instant) takes
-- money out and leaves its charges unsettled: such an account cannot be compared so.
WITH without_rows AS (
    SELECT DISTINCT paid.account, paid.currency FROM all_payouts AS paid
    WHERE paid.category <> 'payout_reversal'
      AND NOT EXISTS (
          SELECT 1 FROM all_settled AS held WHERE held.account = paid.account AND held.payout_id = paid.payout_id
      )
      AND NOT EXISTS (
          SELECT 1 FROM all_activity AS named WHERE named.account = paid.account AND named.payout_id = paid.payout_id
      )
)
SELECT sums.account, sums.cell, sums.currency, '' AS item, sums.figure, sums.against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       CASE WHEN sums.figure <> sums.against AND without_rows.currency IS NOT NULL
            THEN 'payouts without rows' ELSE '' END AS note,
       '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM (
    SELECT account, cell, currency, SUM(figure) AS figure, SUM(against) AS against
    FROM (
        SELECT account, cell, currency, net AS figure, 0 AS against FROM unsettled
        UNION ALL
        SELECT account, cell, currency, 0, net FROM balance WHERE category = 'ending_balance'
    ) AS both_sides
    GROUP BY account, cell, currency
) AS sums
LEFT JOIN without_rows ON without_rows.account = sums.account AND without_rows.currency = sums.currency
