-- Per transaction whose activity row names a payout: the payout's rows have it.
-- Nearly every row is held. Which ones are not is found by keys alone, so that no more than those are kept in memory.
WITH missing AS (
    SELECT DISTINCT named.owner, named.payout_key, named.transaction_key
    FROM (
        SELECT owner, payout_key, transaction_key FROM touched_activity
        WHERE payout_key IS NOT NULL AND transaction_key IS NOT NULL
    ) AS named
    LEFT JOIN (
        SELECT owner, payout_key, transaction_key FROM settled
        WHERE payout_ref IN (SELECT payout_key FROM touched_activity) AND transaction_key IS NOT NULL
    ) AS held
        ON held.owner = named.owner AND held.payout_key = named.payout_key
       AND held.transaction_key = named.transaction_key
    WHERE held.transaction_key IS NULL
)
SELECT activity.account, activity.cell, activity.currency, '' AS item, SUM(activity.net) AS figure,
       SUM(activity.net) AS against, 0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference, '' AS note,
       '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment, COUNT(*) AS items
FROM touched_activity AS activity
LEFT JOIN missing ON missing.owner = activity.owner AND missing.payout_key = activity.payout_key
                 AND missing.transaction_key = activity.transaction_key
WHERE activity.payout_key IS NOT NULL AND activity.transaction_key IS NOT NULL AND missing.transaction_key IS NULL
GROUP BY activity.account, activity.cell, activity.currency
UNION ALL
SELECT activity.account, activity.cell, activity.currency, activity.transaction_id, 0, activity.net, 0, 0, -1, 'missing',
       '', COALESCE(paid.moment, activity.payout_at), 1
FROM touched_activity AS activity
JOIN missing ON missing.owner = activity.owner AND missing.payout_key = activity.payout_key
            AND missing.transaction_key = activity.transaction_key
LEFT JOIN (
    SELECT account, payout_id, MAX(moment) AS moment FROM payouts
    WHERE category <> 'payout_reversal' GROUP BY account, payout_id
) AS paid ON paid.account = activity.account AND paid.payout_id = activity.payout_id
