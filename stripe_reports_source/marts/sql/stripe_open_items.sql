-- What Stripe's reports do not agree on: every statement that is not tied.
WITH statements AS (
    SELECT * FROM {tie_out} WHERE status <> 'tied'
)
SELECT equation, account, CAST(DATE_TRUNC('month', interval_day) AS DATE) AS month, interval_day, interval_key, currency,
       item, figure, against, difference, gross_difference, fee_difference, count_difference, status,
       status IN ('variance', 'stale', 'pending') AS is_open, reason, figure_run, against_run, checked_at
FROM statements
