-- The balance at the end of each day: what Stripe states at the end of a cell, rolled forward by rows until the next one.
WITH tens AS (
    SELECT 0 AS ten UNION ALL SELECT 10 UNION ALL SELECT 20 UNION ALL SELECT 30
),
ones AS (
    SELECT 0 AS one UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
-- a cell has up to 31 days
numbers AS (
    SELECT tens.ten + ones.one AS number FROM tens CROSS JOIN ones
),
loaded_days AS (
    SELECT loaded.input, loaded.account, loaded.first_day + numbers.number AS day,
           MAX(CASE WHEN loaded.first_day + numbers.number < loaded.last_day OR loaded.complete THEN 1 ELSE 0 END)
               AS whole,
           MAX(loaded.end_at) AS end_at
    FROM {cells} AS loaded
    JOIN numbers ON loaded.first_day + numbers.number <= loaded.last_day
    WHERE loaded.input IN ('activity', 'payouts', 'balance')
    GROUP BY loaded.input, loaded.account, loaded.first_day + numbers.number
),
moved AS (
    SELECT account, day, currency, SUM(gross) AS gross, SUM(fee) AS fee, SUM(net) AS net, SUM(payouts) AS payouts
    FROM (
        SELECT account, day, currency, gross, fee, net, CAST(0 AS DECIMAL(38, 9)) AS payouts FROM {activity}
        UNION ALL
        SELECT account, day, currency, 0, 0, 0, net FROM {payouts}
    ) AS rows_of_both
    GROUP BY account, day, currency
),
-- a currency is shown from the month of its first row on
currencies AS (
    SELECT account, currency, CAST(DATE_TRUNC('month', MIN(day)) AS DATE) AS first_day
    FROM (
        SELECT account, currency, day FROM moved
        UNION ALL
        SELECT account, currency, first_day FROM {balance}
    ) AS seen
    GROUP BY account, currency
),
statements AS (
    SELECT account, first_day, last_day, start_at, end_at,
           LAG(last_day) OVER (PARTITION BY account ORDER BY start_at) AS day_before
    FROM {cells} WHERE input = 'balance'
),
-- where nothing is loaded before a cell, its opening balance is that of the day before
stated AS (
    SELECT statements.account, currencies.currency, statements.last_day AS day, statements.end_at,
           COALESCE(lines.amount, 0) AS amount
    FROM statements
    JOIN currencies ON currencies.account = statements.account
    LEFT JOIN {balance} AS lines ON lines.account = statements.account AND lines.currency = currencies.currency
     AND lines.end_at = statements.end_at AND lines.line = 'ending_balance'
    UNION ALL
    SELECT statements.account, currencies.currency, statements.first_day - 1, statements.start_at,
           COALESCE(lines.amount, 0)
    FROM statements
    JOIN currencies ON currencies.account = statements.account
    LEFT JOIN {balance} AS lines ON lines.account = statements.account AND lines.currency = currencies.currency
     AND lines.start_at = statements.start_at AND lines.line = 'starting_balance'
    WHERE statements.day_before IS NULL OR statements.day_before < statements.first_day - 1
),
days AS (
    SELECT account, day FROM loaded_days
    UNION
    SELECT account, day FROM stated
),
each_day AS (
    SELECT days.account, days.day, currencies.currency, currencies.first_day,
           COALESCE(moved.gross, 0) AS gross, COALESCE(moved.fee, 0) AS fee, COALESCE(moved.net, 0) AS net,
           COALESCE(moved.payouts, 0) AS payouts, stated.amount AS stated,
           CASE WHEN (activity.whole = 1 OR activity.end_at = stated.end_at)
                 AND (paid.whole = 1 OR paid.end_at = stated.end_at) THEN 0 ELSE 1 END AS lacking
    FROM days
    JOIN currencies ON currencies.account = days.account
    LEFT JOIN moved ON moved.account = days.account AND moved.day = days.day AND moved.currency = currencies.currency
    LEFT JOIN stated ON stated.account = days.account AND stated.day = days.day
     AND stated.currency = currencies.currency
    LEFT JOIN loaded_days AS activity
        ON activity.account = days.account AND activity.day = days.day AND activity.input = 'activity'
    LEFT JOIN loaded_days AS paid
        ON paid.account = days.account AND paid.day = days.day AND paid.input = 'payouts'
),
rolled AS (
    SELECT account, day, currency, first_day, gross, fee, net, payouts, stated, lacking,
           SUM(net + payouts) OVER (PARTITION BY account, currency ORDER BY day) AS moved_so_far,
           COUNT(stated) OVER (PARTITION BY account, currency ORDER BY day) AS statement
    FROM each_day
),
-- from one statement to the next, the balance is that statement and what has moved since
based AS (
    SELECT account, day, currency, first_day, gross, fee, net, payouts, stated, moved_so_far,
           MAX(stated - moved_so_far) OVER (PARTITION BY account, currency, statement) AS base,
           SUM(CASE WHEN stated IS NULL THEN lacking ELSE 0 END)
               OVER (PARTITION BY account, currency, statement ORDER BY day) AS lacking_so_far,
           lacking
    FROM rolled
),
closed AS (
    SELECT account, day, currency, first_day, gross, fee, net, payouts, stated, lacking,
           CASE WHEN lacking_so_far = 0 THEN moved_so_far + base END AS closing
    FROM based
),
opened AS (
    SELECT account, day, currency, first_day, gross, fee, net, payouts, stated, lacking, closing,
           LAG(closing) OVER (PARTITION BY account, currency ORDER BY day) AS opening
    FROM closed
)
SELECT opened.account, opened.day, opened.currency, opening, gross, fee, net, payouts, closing,
       stated IS NOT NULL AS is_stated,
       CASE WHEN stated IS NOT NULL AND lacking = 0 THEN closing - opening - net - payouts END AS difference,
       CAST(DATE_TRUNC('month', opened.day) AS DATE) AS month
FROM opened
JOIN (SELECT DISTINCT account, day FROM loaded_days) AS shown
    ON shown.account = opened.account AND shown.day = opened.day
WHERE opened.day >= opened.first_day
