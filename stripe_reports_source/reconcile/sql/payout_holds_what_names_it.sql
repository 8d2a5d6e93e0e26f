-- Per transaction whose activity row names a payout: the payout's rows have it.
SELECT activity.account, activity.cell, activity.currency, activity.transaction_id AS item,
       CASE WHEN held.transaction_key IS NULL THEN 0 ELSE activity.net END AS figure, activity.net AS against,
       0 AS gross_difference, 0 AS fee_difference,
       CASE WHEN held.transaction_key IS NULL THEN -1 ELSE 0 END AS count_difference,
       CASE WHEN held.transaction_key IS NULL THEN 'missing' ELSE '' END AS note,
       '' AS against_cell, COALESCE(paid.moment, activity.payout_at) AS moment
FROM touched_activity AS activity
LEFT JOIN (
    SELECT owner, payout_key, transaction_key FROM settled
    WHERE payout_key IN (SELECT payout_key FROM touched_activity) AND transaction_key IS NOT NULL
) AS held
    ON held.owner = activity.owner AND held.payout_key = activity.payout_key
   AND held.transaction_key = activity.transaction_key
LEFT JOIN (
    SELECT account, payout_id, MAX(moment) AS moment FROM payouts
    WHERE category <> 'payout_reversal' GROUP BY account, payout_id
) AS paid ON paid.account = activity.account AND paid.payout_id = activity.payout_id
WHERE activity.payout_key IS NOT NULL AND activity.transaction_key IS NOT NULL
