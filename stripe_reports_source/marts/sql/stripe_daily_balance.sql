-- The balance at the end of each day: what Stripe states at the end of a cell, rolled forward by rows until the next one.
WITH tens AS (
    SELECT 0 AS ten UNION ALL SELECT 10 UNION ALL SELECT 20 UNION ALL SELECT 30
),
ones AS (
    SELECT 0 AS one UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
),
numbers AS (
    SELECT tens.ten + ones.one AS number FROM tens CROSS JOIN ones
),
loaded_days AS (
    SELECT cells.input, cells.account, cells.first_day + numbers.number AS day,
           MAX(CASE WHEN cells.first_day + numbers.number < cells.last_day OR cells.complete THEN 1 ELSE 0 END) AS whole,
           MAX(cells.end_at) AS end_at
    FROM {cells} AS cells
    JOIN numbers ON cells.first_day + numbers.number <= cells.last_day
    WHERE cells.input IN ('activity', 'payouts', 'balance')
    GROUP BY cells.input, cells.account, cells.first_day + numbers.number
),
of_balance AS (
    SELECT account, first_day, last_day, start_at, end_at,
           ROW_NUMBER() OVER (PARTITION BY account ORDER BY start_at) AS place
    FROM {cells} WHERE input = 'balance'
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
currencies AS (
    SELECT account, currency FROM moved
    UNION
    SELECT account, currency FROM {balance}
),
-- the day before all that is loaded stands for the opening balance
days AS (
    SELECT account, day FROM loaded_days
    UNION
    SELECT account, first_day - 1 FROM of_balance WHERE place = 1
),
stated AS (
    SELECT of_balance.account, currencies.currency, of_balance.last_day AS day, of_balance.end_at,
           COALESCE(lines.amount, 0) AS amount
    FROM of_balance
    JOIN currencies ON currencies.account = of_balance.account
    LEFT JOIN {balance} AS lines ON lines.account = of_balance.account AND lines.currency = currencies.currency
     AND lines.end_at = of_balance.end_at AND lines.line = 'ending_balance'
    UNION ALL
    SELECT of_balance.account, currencies.currency, of_balance.first_day - 1, of_balance.start_at,
           COALESCE(lines.amount, 0)
    FROM of_balance
    JOIN currencies ON currencies.account = of_balance.account
    LEFT JOIN {balance} AS lines ON lines.account = of_balance.account AND lines.currency = currencies.currency
     AND lines.start_at = of_balance.start_at AND lines.line = 'starting_balance'
    WHERE of_balance.place = 1
),
each_day AS (
    SELECT days.account, days.day, currencies.currency, COALESCE(moved.gross, 0) AS gross, COALESCE(moved.fee, 0) AS fee,
           COALESCE(moved.net, 0) AS net, COALESCE(moved.payouts, 0) AS payouts, stated.amount AS stated,
           CASE WHEN (activity.whole = 1 OR activity.end_at = stated.end_at)
                 AND (payouts.whole = 1 OR payouts.end_at = stated.end_at) THEN 0 ELSE 1 END AS lacking
    FROM days
    JOIN currencies ON currencies.account = days.account
    LEFT JOIN moved ON moved.account = days.account AND moved.day = days.day AND moved.currency = currencies.currency
    LEFT JOIN stated ON stated.account = days.account AND stated.day = days.day
     AND stated.currency = currencies.currency
    LEFT JOIN loaded_days AS activity
        ON activity.account = days.account AND activity.day = days.day AND activity.input = 'activity'
    LEFT JOIN loaded_days AS payouts
        ON payouts.account = days.account AND payouts.day = days.day AND payouts.input = 'payouts'
),
rolled AS (
    SELECT each_day.*,
           SUM(net + payouts) OVER (PARTITION BY account, currency ORDER BY day) AS moved_so_far,
           COUNT(stated) OVER (PARTITION BY account, currency ORDER BY day) AS statements
    FROM each_day
),
-- from one statement to the next, the balance is that statement and what moved since
based AS (
    SELECT rolled.*,
           MAX(stated - moved_so_far) OVER (PARTITION BY account, currency, statements) AS base,
           SUM(CASE WHEN stated IS NULL THEN lacking ELSE 0 END)
               OVER (PARTITION BY account, currency, statements ORDER BY day) AS lacking_so_far
    FROM rolled
),
closed AS (
    SELECT based.*, CASE WHEN lacking_so_far = 0 THEN moved_so_far + base END AS closing FROM based
),
opened AS (
    SELECT closed.*,
           LAG(closing) OVER (PARTITION BY account, currency ORDER BY day) AS opening,
           LAG(day) OVER (PARTITION BY account, currency ORDER BY day) AS day_before
    FROM closed
)
SELECT account, day, currency, CASE WHEN day_before = day - 1 THEN opening END AS opening,
       gross, fee, net, payouts, closing,
       CASE WHEN stated IS NOT NULL AND lacking = 0 AND day_before = day - 1
            THEN closing - opening - net - payouts END AS difference,
       CAST(DATE_TRUNC('month', day) AS DATE) AS month
FROM opened
WHERE EXISTS (SELECT 1 FROM loaded_days WHERE loaded_days.account = opened.account AND loaded_days.day = opened.day)
