-- The payouts of a window: how many, how much, and how many of them are equal to the transactions that they settle. No
-- row says what a manual or instant payout has paid, and no activity names it.
WITH paid AS (
    SELECT account, currency, payout_id, SUM(-net) AS amount FROM payouts
    WHERE category <> 'payout_reversal' AND cell IN (SELECT cell FROM window_cells)
    GROUP BY account, currency, payout_id
),
batch AS (
    SELECT account, currency, payout_id, SUM(net) AS amount FROM all_settled
    WHERE payout_id <> '' GROUP BY account, currency, payout_id
),
named AS (SELECT DISTINCT account, payout_id FROM all_activity WHERE payout_id <> '')
SELECT paid.account, paid.currency, COUNT(*) AS payouts, SUM(paid.amount) AS amount,
       SUM(CASE WHEN COALESCE(batch.amount, 0) = paid.amount THEN 1 ELSE 0 END) AS equal_to_rows,
       SUM(CASE WHEN batch.payout_id IS NULL AND named.payout_id IS NULL AND paid.amount <> 0
                THEN 1 ELSE 0 END) AS without_rows
FROM paid
LEFT JOIN batch
    ON batch.account = paid.account AND batch.currency = paid.currency AND batch.payout_id = paid.payout_id
LEFT JOIN named ON named.account = paid.account AND named.payout_id = paid.payout_id
GROUP BY paid.account, paid.currency
