-- Each payout: what left the balance, what came back, what paid it again, and the sum of its rows.
WITH paid AS (
    SELECT account, payout_id, MIN(currency) AS currency, SUM(gross) AS gross, SUM(fee) AS fee, SUM(net) AS net,
           MIN(effective_at_utc) AS effective_at_utc, MIN(effective_at) AS effective_at, MIN(day) AS day,
           MAX(status) AS status, MAX(arrival_date) AS arrival_date, MAX(method) AS method,
           MAX(destination_id) AS destination_id, MAX(description) AS description, MAX(trace_id) AS trace_id,
           MAX(transaction_id) AS transaction_id
    FROM {payouts} WHERE category <> 'payout_reversal' GROUP BY account, payout_id
),
returned AS (
    SELECT account, payout_id, MIN(currency) AS currency, SUM(net) AS net, MIN(day) AS day, MAX(status) AS status,
           MIN(effective_at_utc) AS returned_at_utc, MIN(effective_at) AS returned_at,
           MAX(arrival_date) AS arrival_date, MAX(method) AS method, MAX(destination_id) AS destination_id,
           MAX(description) AS description, MAX(trace_id) AS trace_id, MAX(transaction_id) AS transaction_id
    FROM {payouts} WHERE category = 'payout_reversal' GROUP BY account, payout_id
),
known AS (
    SELECT account, payout_id FROM paid
    UNION
    SELECT account, payout_id FROM returned
),
batches AS (
    SELECT account, payout_id, COUNT(*) AS row_count, SUM(net) AS net
    FROM {stripe_payout_transactions} GROUP BY account, payout_id
),
retries AS (
    SELECT returned.account, returned.payout_id AS failed_id, MIN(again.payout_id) AS retry_id
    FROM returned
    JOIN {stripe_payout_transactions} AS again
        ON again.account = returned.account AND again.transaction_id = returned.transaction_id
    GROUP BY returned.account, returned.payout_id
),
first_failed AS (
    SELECT account, retry_id, MIN(failed_id) AS failed_id FROM retries GROUP BY account, retry_id
),
-- where the report of what payouts settle is loaded for the moment of a payout, no rows means none
loaded AS (
    SELECT paid.account, paid.day, MAX(reconciled.end_at) AS end_at
    FROM (SELECT DISTINCT account, day FROM paid) AS paid
    JOIN {cells} AS reconciled ON reconciled.account = paid.account
     AND reconciled.first_day <= paid.day AND reconciled.last_day >= paid.day
    WHERE reconciled.input = 'settled'
    GROUP BY paid.account, paid.day
)
SELECT known.account, known.payout_id, COALESCE(paid.currency, returned.currency) AS currency,
       -paid.net AS amount, paid.gross, paid.fee, paid.net,
       COALESCE(returned.status, CASE WHEN returned.payout_id IS NOT NULL THEN 'failed' END, paid.status) AS status,
       paid.effective_at_utc, paid.effective_at, COALESCE(paid.day, returned.day) AS effective_day,
       CAST(DATE_TRUNC('month', COALESCE(paid.day, returned.day)) AS DATE) AS month,
       COALESCE(paid.arrival_date, returned.arrival_date) AS arrival_date,
       COALESCE(paid.method, returned.method) AS method,
       COALESCE(paid.destination_id, returned.destination_id) AS destination_id,
       COALESCE(paid.description, returned.description) AS description,
       COALESCE(returned.trace_id, paid.trace_id) AS trace_id, paid.transaction_id,
       returned.payout_id IS NOT NULL AS is_returned, returned.returned_at_utc AS reversed_at_utc,
       returned.returned_at AS reversed_at, returned.net AS reversal_net,
       returned.transaction_id AS reversal_transaction_id,
       first_failed.failed_id AS retry_of, retries.retry_id AS retried_by,
       CASE WHEN batches.payout_id IS NOT NULL THEN batches.row_count
            WHEN paid.effective_at_utc < loaded.end_at THEN 0 END AS row_count,
       batches.net AS rows_net, -paid.net - batches.net AS difference
FROM known
LEFT JOIN paid ON paid.account = known.account AND paid.payout_id = known.payout_id
LEFT JOIN returned ON returned.account = known.account AND returned.payout_id = known.payout_id
LEFT JOIN batches ON batches.account = known.account AND batches.payout_id = known.payout_id
LEFT JOIN retries ON retries.account = known.account AND retries.failed_id = known.payout_id
LEFT JOIN first_failed ON first_failed.account = known.account AND first_failed.retry_id = known.payout_id
LEFT JOIN loaded ON loaded.account = paid.account AND loaded.day = paid.day
