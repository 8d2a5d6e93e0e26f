-- Made by `python -m tests.dbt`: do not change it by hand.
-- What Stripe's reports do not agree on: every statement that is not tied.
WITH statements AS (
    SELECT * FROM {{ ref('stg_stripe__tie_out') }} WHERE status <> 'tied'
)
SELECT equation, account, CAST({{ dbt.date_trunc('month', "interval_day") }} AS DATE) AS month, interval_day, interval_key, currency,
       item, figure, against, difference, gross_difference, fee_difference, count_difference, status,
       status IN ('variance', 'stale', 'pending') AS is_open, reason, figure_run, against_run, checked_at
FROM statements
