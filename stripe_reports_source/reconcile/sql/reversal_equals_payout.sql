-- Per payout that the bank has sent back: what came back, and what was paid.
SELECT back.account, back.cell, back.currency, back.payout_id AS item, back.figure, COALESCE(paid.against, 0) AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       CASE WHEN paid.payout_id IS NULL THEN 'no payout' ELSE '' END AS note,
       '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM (
    SELECT account, MAX(cell) AS cell, currency, payout_id, SUM(net) AS figure FROM payouts
    WHERE category = 'payout_reversal' GROUP BY account, currency, payout_id
) AS back
LEFT JOIN (
    SELECT account, currency, payout_id, SUM(-net) AS against FROM payouts
    WHERE category <> 'payout_reversal' GROUP BY account, currency, payout_id
) AS paid ON paid.account = back.account AND paid.currency = back.currency AND paid.payout_id = back.payout_id
WHERE back.cell IN (SELECT cell FROM touched)
