-- Per transaction of the activity that a payout has settled: the activity names that payout, and when it took effect.
-- Nearly every row names the only payout that has settled it. Only the others are put together with all that has
-- settled them, for a transaction that stands under two payouts is right if one of them is named.
WITH pairs AS (
    SELECT account, cell, currency, unlike_key, COUNT(*) AS items
    FROM (
        SELECT activity.account, activity.cell, activity.currency,
               CASE WHEN settled.payout_key = activity.payout_key
                     AND (settled.payout_at = activity.payout_at OR settled.payout_at IS NULL
                          OR activity.payout_at IS NULL)
                    THEN NULL ELSE activity.transaction_key END AS unlike_key
        FROM touched_activity AS activity
        JOIN settled ON settled.owner = activity.owner AND settled.transaction_ref = activity.transaction_key
        WHERE settled.payout_key IS NOT NULL
    ) AS each_pair
    GROUP BY account, cell, currency, unlike_key
),
unlike AS (SELECT DISTINCT unlike_key FROM pairs WHERE unlike_key IS NOT NULL)
SELECT account, cell, currency, '' AS item, 0 AS figure, 0 AS against, 0 AS gross_difference, 0 AS fee_difference,
       0 AS count_difference, '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment, items
FROM pairs WHERE unlike_key IS NULL
UNION ALL
SELECT activity.account, activity.cell, activity.currency, activity.transaction_id, 0, 0, 0, 0, 1,
       CASE WHEN MAX(CASE WHEN settled.payout_id = activity.payout_id THEN 1 ELSE 0 END) = 1 THEN 'other time'
            WHEN activity.payout_id = '' THEN 'not filled in' ELSE 'other payout' END,
       MAX(settled.cell), MAX(settled.moment), 1
FROM (
    SELECT account, cell, currency, transaction_id, payout_id, payout_at FROM touched_activity
    WHERE transaction_key IN (SELECT unlike_key FROM unlike)
) AS activity
JOIN (
    SELECT account, cell, transaction_id, payout_id, payout_at, moment FROM settled
    WHERE payout_id <> '' AND transaction_ref IN (SELECT unlike_key FROM unlike)
) AS settled ON settled.account = activity.account AND settled.transaction_id = activity.transaction_id
GROUP BY activity.account, activity.cell, activity.currency, activity.transaction_id, activity.payout_id
HAVING MAX(CASE WHEN settled.payout_id <> activity.payout_id OR settled.payout_at <> activity.payout_at THEN 0
                ELSE 1 END) = 0
