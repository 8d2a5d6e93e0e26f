-- Per transaction of the activity that a payout has settled: the activity names that payout, and when it took effect.
SELECT account, cell, currency, item, 0 AS figure, 0 AS against, 0 AS gross_difference, 0 AS fee_difference,
       CASE WHEN named > 0 AND timed > 0 THEN 0 ELSE 1 END AS count_difference,
       CASE WHEN named > 0 AND timed = 0 THEN 'other time' WHEN named > 0 THEN ''
            WHEN payout_id = '' THEN 'not filled in' ELSE 'other payout' END AS note,
       against_cell, moment
FROM (
    SELECT activity.account, activity.cell, activity.currency, activity.transaction_id AS item, activity.payout_id,
           MAX(CASE WHEN settled.payout_id = activity.payout_id THEN 1 ELSE 0 END) AS named,
           MAX(CASE WHEN settled.payout_id <> activity.payout_id OR settled.payout_at <> activity.payout_at THEN 0
                    ELSE 1 END) AS timed,
           MAX(settled.cell) AS against_cell, MAX(settled.moment) AS moment
    FROM touched_activity AS activity
    JOIN settled ON settled.account = activity.account AND settled.transaction_id = activity.transaction_id
    WHERE activity.transaction_id <> '' AND settled.payout_id <> ''
    GROUP BY activity.account, activity.cell, activity.currency, activity.transaction_id, activity.payout_id
) AS pairs
