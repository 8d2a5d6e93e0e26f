-- Per transaction of the activity that a payout has settled: the activity names that payout, and when it took effect.
-- Nearly every row names the only payout that has settled it. Only the others are put together with all that has
-- settled them, for a transaction that stands under two payouts is right if one of them is named.
WITH pairs AS (
    SELECT account, cell, currency, item, COUNT(*) AS items
    FROM (
        SELECT activity.account, activity.cell, activity.currency,
               CASE WHEN settled.payout_id <> activity.payout_id OR settled.payout_at <> activity.payout_at
                    THEN activity.transaction_id ELSE '' END AS item
        FROM touched_activity AS activity
        JOIN settled ON settled.account = activity.account AND settled.transaction_id = activity.transaction_id
        WHERE activity.transaction_id <> '' AND settled.payout_id <> ''
    ) AS each_pair
    GROUP BY account, cell, currency, item
),
unlike AS (SELECT DISTINCT item AS transaction_id FROM pairs WHERE item <> '')
SELECT account, cell, currency, item, 0 AS figure, 0 AS against, 0 AS gross_difference, 0 AS fee_difference,
       0 AS count_difference, '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment, items
FROM pairs WHERE item = ''
UNION ALL
SELECT activity.account, activity.cell, activity.currency, activity.transaction_id, 0, 0, 0, 0, 1,
       CASE WHEN MAX(CASE WHEN settled.payout_id = activity.payout_id THEN 1 ELSE 0 END) = 1 THEN 'other time'
            WHEN activity.payout_id = '' THEN 'not filled in' ELSE 'other payout' END,
       MAX(settled.cell), MAX(settled.moment), 1
FROM (
    SELECT account, cell, currency, transaction_id, payout_id, payout_at FROM touched_activity
    WHERE transaction_id IN (SELECT transaction_id FROM unlike)
) AS activity
JOIN (
    SELECT account, cell, transaction_id, payout_id, payout_at, moment FROM settled
    WHERE payout_id <> '' AND transaction_id IN (SELECT transaction_id FROM unlike)
) AS settled ON settled.account = activity.account AND settled.transaction_id = activity.transaction_id
GROUP BY activity.account, activity.cell, activity.currency, activity.transaction_id, activity.payout_id
HAVING MAX(CASE WHEN settled.payout_id <> activity.payout_id OR settled.payout_at <> activity.payout_at THEN 0
                ELSE 1 END) = 0
