-- Per payout: the transactions that it settles, and its own amount. Where no row says what a payout has paid, it is
-- explained only if no activity names it either: it is manual or instant, or not reconciled yet.
SELECT sums.account, sums.cell, sums.currency, sums.payout_id AS item, sums.figure, sums.against,
       0 AS gross_difference, 0 AS fee_difference, CASE WHEN sums.payouts = 0 THEN 1 ELSE 0 END AS count_difference,
       CASE WHEN sums.payouts = 0 THEN 'no payout'
            WHEN sums.batch_rows > 0 OR sums.figure = sums.against THEN ''
            WHEN named.payout_id IS NOT NULL THEN 'rows lost'
            ELSE 'no rows' END AS note,
       '' AS against_cell, sums.moment
FROM (
    SELECT account, COALESCE(MAX(paid_cell), MAX(batch_cell)) AS cell, currency, payout_id,
           SUM(figure) AS figure, SUM(against) AS against, SUM(batch_rows) AS batch_rows, SUM(payouts) AS payouts,
           MIN(moment) AS moment
    FROM (
        SELECT account, CAST(NULL AS TEXT) AS paid_cell, MAX(cell) AS batch_cell, currency, payout_id,
               SUM(net) AS figure, 0 AS against, COUNT(*) AS batch_rows, 0 AS payouts,
               MIN(moment) AS moment
        FROM settled
        WHERE payout_ref IN (
            SELECT payout_key FROM touched_settled
            UNION ALL
            SELECT payout_key FROM touched_payouts
        )
        GROUP BY account, currency, payout_id
        UNION ALL
        SELECT account, cell, CAST(NULL AS TEXT), currency, payout_id, 0, -net, 0, 1,
               CAST(NULL AS TIMESTAMPTZ)
        FROM payouts WHERE category <> 'payout_reversal'
    ) AS both_sides
    GROUP BY account, currency, payout_id
) AS sums
LEFT JOIN (
    SELECT DISTINCT account, payout_id FROM activity
    WHERE payout_ref IN (SELECT payout_key FROM touched_payouts)
) AS named ON named.account = sums.account AND named.payout_id = sums.payout_id
WHERE sums.cell IN (SELECT cell FROM touched)
