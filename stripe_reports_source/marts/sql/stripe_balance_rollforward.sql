-- The balance from month to month. Opening and closing are Stripe's; `difference` is what the rows do not explain.
WITH moved AS (
    SELECT account, month, currency, category, SUM(gross) AS gross, SUM(fee) AS fee, SUM(net) AS net,
           CAST(0 AS DECIMAL(38, 9)) AS payouts, COUNT(*) AS row_count
    FROM {activity} GROUP BY account, month, currency, category
    UNION ALL
    SELECT account, month, currency, category, 0, 0, 0, SUM(net), COUNT(*)
    FROM {payouts} GROUP BY account, month, currency, category
),
spans AS (
    SELECT account, month, currency, MIN(day) AS first_day, MAX(day) AS last_day,
           CASE WHEN SUM(CASE WHEN is_stated AND difference IS NULL THEN 1 ELSE 0 END) = 0 THEN SUM(difference) END
               AS difference
    FROM {stripe_daily_balance} GROUP BY account, month, currency
),
loaded AS (
    SELECT spans.account, spans.month, MAX(statements.end_at) AS up_to,
           MAX(CASE WHEN statements.complete OR statements.last_day > spans.last_day THEN spans.last_day END)
               = CAST(DATE_TRUNC('month', spans.month + 31) AS DATE) - 1 AS is_complete
    FROM (SELECT account, month, MAX(last_day) AS last_day FROM spans GROUP BY account, month) AS spans
    JOIN {cells} AS statements ON statements.account = spans.account
     AND statements.first_day <= spans.last_day AND statements.last_day >= spans.last_day
    WHERE statements.input = 'balance'
    GROUP BY spans.account, spans.month
),
bounds AS (
    SELECT spans.account, spans.month, spans.currency, opens.opening, closes.closing, spans.difference,
           loaded.up_to, COALESCE(loaded.is_complete, FALSE) AS is_complete
    FROM spans
    JOIN {stripe_daily_balance} AS opens ON opens.account = spans.account AND opens.currency = spans.currency
     AND opens.day = spans.first_day
    JOIN {stripe_daily_balance} AS closes ON closes.account = spans.account AND closes.currency = spans.currency
     AND closes.day = spans.last_day
    LEFT JOIN loaded ON loaded.account = spans.account AND loaded.month = spans.month
)
SELECT account, month, currency, 'opening_balance' AS category, opening,
       CAST(0 AS DECIMAL(38, 9)) AS gross, CAST(0 AS DECIMAL(38, 9)) AS fee, CAST(0 AS DECIMAL(38, 9)) AS net,
       CAST(0 AS DECIMAL(38, 9)) AS payouts, CAST(0 AS DECIMAL(38, 9)) AS closing,
       CAST(0 AS DECIMAL(38, 9)) AS difference, 0 AS row_count, up_to, is_complete
FROM bounds
UNION ALL
SELECT moved.account, moved.month, moved.currency, moved.category, 0, moved.gross, moved.fee, moved.net, moved.payouts,
       0, 0, moved.row_count, bounds.up_to, COALESCE(bounds.is_complete, FALSE)
FROM moved
LEFT JOIN bounds ON bounds.account = moved.account AND bounds.month = moved.month AND bounds.currency = moved.currency
UNION ALL
SELECT account, month, currency, 'closing_balance', 0, 0, 0, 0, 0, closing, difference, 0, up_to, is_complete
FROM bounds
