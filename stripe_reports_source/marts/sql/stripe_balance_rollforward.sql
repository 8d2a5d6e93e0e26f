-- The balance from month to month. Opening and closing are what Stripe states; `difference` is what the rows do not explain.
WITH moved AS (
    SELECT account, month, currency, category, SUM(gross) AS gross, SUM(fee) AS fee, SUM(net) AS net,
           CAST(0 AS DECIMAL(38, 9)) AS payouts, COUNT(*) AS row_count
    FROM {activity} GROUP BY account, month, currency, category
    UNION ALL
    SELECT account, month, currency, category, 0, 0, 0, SUM(net), COUNT(*)
    FROM {payouts} GROUP BY account, month, currency, category
),
loaded_cells AS (
    SELECT input, account, first_day, last_day, start_at, end_at, complete,
           CAST(DATE_TRUNC('month', first_day) AS DATE) AS first_month,
           CAST(DATE_TRUNC('month', last_day) AS DATE) AS last_month
    FROM {cells} WHERE input IN ('activity', 'payouts', 'balance')
),
months AS (
    SELECT account, first_month AS month FROM loaded_cells
    UNION
    SELECT account, last_month FROM loaded_cells
),
-- what is loaded of each month by each report: two reports are compared where that is the same
joined AS (
    SELECT input, account, first_month AS month, start_at, end_at,
           CASE WHEN start_at <> LAG(end_at) OVER (PARTITION BY input, account, first_month ORDER BY start_at) THEN 1
                ELSE 0 END AS gap
    FROM loaded_cells
),
spans AS (
    SELECT input, account, month, MIN(start_at) AS start_at, MAX(end_at) AS end_at, SUM(gap) AS gaps
    FROM joined GROUP BY input, account, month
),
comparable AS (
    SELECT balance.account, balance.month
    FROM spans AS balance
    JOIN spans AS activity ON activity.account = balance.account AND activity.month = balance.month
     AND activity.start_at = balance.start_at AND activity.end_at = balance.end_at
    JOIN spans AS payouts ON payouts.account = balance.account AND payouts.month = balance.month
     AND payouts.start_at = balance.start_at AND payouts.end_at = balance.end_at
    WHERE balance.input = 'balance' AND activity.input = 'activity' AND payouts.input = 'payouts'
      AND balance.gaps + activity.gaps + payouts.gaps = 0
),
of_balance AS (
    SELECT account, first_day, last_day, start_at, end_at, complete, first_month, last_month,
           ROW_NUMBER() OVER (PARTITION BY account ORDER BY end_at DESC) AS from_last,
           ROW_NUMBER() OVER (PARTITION BY account ORDER BY end_at) AS from_first
    FROM loaded_cells WHERE input = 'balance'
),
-- the cells at whose ends and beginnings Stripe states the balance of a month's end and beginning
month_ends AS (
    SELECT account, last_month AS month, end_at, complete FROM of_balance
    WHERE from_last = 1 OR CAST(DATE_TRUNC('month', last_day + 1) AS DATE) <> last_month
),
month_starts AS (
    SELECT account, first_month AS month, start_at FROM of_balance WHERE from_first = 1 OR first_day = first_month
),
currencies AS (
    SELECT account, currency, MIN(month) AS first_month
    FROM (
        SELECT account, currency, month FROM moved
        UNION ALL
        SELECT account, currency, CAST(DATE_TRUNC('month', last_day) AS DATE) FROM {balance}
    ) AS seen
    GROUP BY account, currency
),
spine AS (
    SELECT months.account, months.month, currencies.currency
    FROM months
    JOIN currencies ON currencies.account = months.account AND currencies.first_month <= months.month
),
stated AS (
    SELECT spine.account, spine.month, spine.currency, month_ends.end_at, month_ends.complete,
           CASE WHEN month_ends.end_at IS NOT NULL THEN COALESCE(closes.amount, 0) END AS closing,
           CASE WHEN month_starts.start_at IS NOT NULL THEN COALESCE(opens.amount, 0) END AS opening
    FROM spine
    LEFT JOIN month_ends ON month_ends.account = spine.account AND month_ends.month = spine.month
    LEFT JOIN month_starts ON month_starts.account = spine.account AND month_starts.month = spine.month
    LEFT JOIN {balance} AS closes ON closes.account = spine.account AND closes.currency = spine.currency
     AND closes.end_at = month_ends.end_at AND closes.line = 'ending_balance'
    LEFT JOIN {balance} AS opens ON opens.account = spine.account AND opens.currency = spine.currency
     AND opens.start_at = month_starts.start_at AND opens.line = 'starting_balance'
),
-- a month opens with what the month before it closed with, as it was loaded; else with what Stripe says of its own start
bounds AS (
    SELECT this.account, this.month, this.currency, this.end_at, this.complete, this.closing,
           COALESCE(before.closing, this.opening) AS opening
    FROM stated AS this
    LEFT JOIN stated AS before ON before.account = this.account AND before.currency = this.currency
     AND before.complete AND before.month = CAST(DATE_TRUNC('month', this.month - 1) AS DATE)
),
sums AS (
    SELECT account, month, currency, SUM(net) + SUM(payouts) AS net FROM moved GROUP BY account, month, currency
)
SELECT account, month, currency, 'opening_balance' AS category, opening,
       CAST(0 AS DECIMAL(38, 9)) AS gross, CAST(0 AS DECIMAL(38, 9)) AS fee, CAST(0 AS DECIMAL(38, 9)) AS net,
       CAST(0 AS DECIMAL(38, 9)) AS payouts, CAST(0 AS DECIMAL(38, 9)) AS closing,
       CAST(0 AS DECIMAL(38, 9)) AS difference, 0 AS row_count, end_at AS up_to, complete AS is_complete
FROM bounds
UNION ALL
SELECT moved.account, moved.month, moved.currency, moved.category, 0, moved.gross, moved.fee, moved.net, moved.payouts,
       0, 0, moved.row_count, bounds.end_at, bounds.complete
FROM moved
LEFT JOIN bounds ON bounds.account = moved.account AND bounds.month = moved.month AND bounds.currency = moved.currency
UNION ALL
SELECT bounds.account, bounds.month, bounds.currency, 'closing_balance', 0, 0, 0, 0, 0, bounds.closing,
       CASE WHEN comparable.account IS NOT NULL THEN bounds.closing - bounds.opening - COALESCE(sums.net, 0) END,
       0, bounds.end_at, bounds.complete
FROM bounds
LEFT JOIN sums ON sums.account = bounds.account AND sums.month = bounds.month AND sums.currency = bounds.currency
LEFT JOIN comparable ON comparable.account = bounds.account AND comparable.month = bounds.month
