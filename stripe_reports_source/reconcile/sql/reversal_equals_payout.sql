-- Per payout that the bank has sent back: what came back, and what was paid. Where no row has what was paid, the
-- transaction of the return, settled or not, may name the payout too.
SELECT back.account, back.cell, back.currency, back.payout_id AS item, back.figure, COALESCE(paid.against, 0) AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       CASE WHEN back.payout_id = '' THEN 'unnamed payout'
            WHEN paid.payout_id IS NOT NULL THEN ''
            WHEN returned.source_id = back.payout_id THEN 'older payout'
            WHEN other.payout_id IS NOT NULL THEN 'another payout'
            ELSE 'unknown payout' END AS note,
       '' AS against_cell, back.moment
FROM (
    SELECT account, MAX(cell) AS cell, currency, payout_id, SUM(net) AS figure, MAX(transaction_id) AS transaction_id,
           MAX(moment) AS moment
    FROM payouts WHERE category = 'payout_reversal' GROUP BY account, currency, payout_id
) AS back
LEFT JOIN (
    SELECT account, currency, payout_id, SUM(-net) AS against FROM payouts
    WHERE category <> 'payout_reversal' GROUP BY account, currency, payout_id
) AS paid ON paid.account = back.account AND paid.currency = back.currency AND paid.payout_id = back.payout_id
LEFT JOIN (
    SELECT account, transaction_id, MAX(source_id) AS source_id
    FROM (
        SELECT account, transaction_id, source_id FROM all_settled
        WHERE category = 'payout_reversal' AND transaction_id <> '' AND source_id <> ''
        UNION ALL
        SELECT account, transaction_id, source_id FROM all_unsettled
        WHERE category = 'payout_reversal' AND transaction_id <> '' AND source_id <> ''
    ) AS of_returns
    GROUP BY account, transaction_id
) AS returned ON returned.account = back.account AND returned.transaction_id = back.transaction_id
LEFT JOIN (
    SELECT DISTINCT account, payout_id FROM payouts WHERE category <> 'payout_reversal'
) AS other ON other.account = back.account AND other.payout_id = returned.source_id
WHERE back.cell IN (SELECT cell FROM touched)
