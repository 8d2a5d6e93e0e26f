-- What no payout has paid at the end of a cell, and the closing balance. A payout without rows (manual, instant) takes
-- money out and leaves its charges unsettled: such an account cannot be compared so. Where payouts are not the sum of
-- their rows, which is said of each of them, the two differ by just that from then on. Payouts are read only for accounts
-- of which a sum differs.
WITH sums AS (
    SELECT account, cell, currency, MAX(cell_end) AS cell_end, SUM(figure) AS figure, SUM(against) AS against
    FROM (
        SELECT account, cell, currency, cell_end, net AS figure, 0 AS against FROM unsettled
        UNION ALL
        SELECT account, cell, currency, cell_end, 0, net FROM balance WHERE category = 'ending_balance'
    ) AS both_sides
    GROUP BY account, cell, currency
),
unlike AS (SELECT DISTINCT account FROM sums WHERE figure <> against),
without_rows AS (
    SELECT DISTINCT paid.account, paid.currency FROM all_payouts AS paid
    WHERE paid.category <> 'payout_reversal' AND paid.payout_id <> '' AND paid.account IN (SELECT account FROM unlike)
      AND NOT EXISTS (
          SELECT 1 FROM all_settled AS held WHERE held.payout_ref = paid.payout_key
             AND held.account = paid.account AND held.payout_id = paid.payout_id
      )
      AND NOT EXISTS (
          SELECT 1 FROM all_activity AS named WHERE named.payout_ref = paid.payout_key
             AND named.account = paid.account AND named.payout_id = paid.payout_id
      )
),
differing AS (
    SELECT account, currency, payout_id, SUM(net) AS amount, MAX(moment) AS moment
    FROM (
        SELECT account, currency, payout_id, net, CAST(NULL AS TIMESTAMPTZ) AS moment, 1 AS batch_rows
        FROM all_settled WHERE payout_id <> '' AND account IN (SELECT account FROM unlike)
        UNION ALL
        SELECT account, currency, payout_id, net, moment, 0
        FROM all_payouts WHERE category <> 'payout_reversal' AND account IN (SELECT account FROM unlike)
    ) AS both_reports
    GROUP BY account, currency, payout_id
    HAVING SUM(net) <> 0 AND SUM(batch_rows) BETWEEN 1 AND COUNT(*) - 1
),
known AS (
    SELECT sums.account, sums.cell, sums.currency, SUM(differing.amount) AS amount
    FROM sums
    JOIN differing ON differing.account = sums.account AND differing.currency = sums.currency
     AND differing.moment < sums.cell_end
    GROUP BY sums.account, sums.cell, sums.currency
)
SELECT sums.account, sums.cell, sums.currency, '' AS item, sums.figure, sums.against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       CASE WHEN sums.figure = sums.against THEN ''
            WHEN without_rows.currency IS NOT NULL THEN 'payouts without rows'
            WHEN known.amount = sums.against - sums.figure THEN 'payouts differ' ELSE '' END AS note,
       '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM sums
LEFT JOIN without_rows ON without_rows.account = sums.account AND without_rows.currency = sums.currency
LEFT JOIN known ON known.account = sums.account AND known.cell = sums.cell AND known.currency = sums.currency
