-- As payout_equals_its_rows, for the payouts that the report per payout was run for.
SELECT batch.account, paid.cell, batch.currency, batch.payout_id AS item, batch.figure, paid.against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM (
    SELECT account, currency, payout_id, SUM(net) AS figure FROM settled_by_id
    WHERE payout_id <> '' GROUP BY account, currency, payout_id
) AS batch
JOIN (
    SELECT account, MAX(cell) AS cell, currency, payout_id, SUM(-net) AS against FROM payouts
    WHERE category <> 'payout_reversal' GROUP BY account, currency, payout_id
) AS paid ON paid.account = batch.account AND paid.currency = batch.currency AND paid.payout_id = batch.payout_id
WHERE paid.cell IN (SELECT cell FROM touched)
