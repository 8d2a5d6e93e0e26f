-- The payouts whose money came back in a window, and the payout that has paid it again, where there is one.
SELECT back.account, back.currency, back.payout_id, back.amount, back.moment,
       MAX(again.payout_id) AS again_id, MAX(again.payout_at) AS again_at
FROM (
    SELECT account, currency, payout_id, transaction_id, SUM(net) AS amount, MAX(moment) AS moment FROM payouts
    WHERE category = 'payout_reversal' AND cell IN (SELECT cell FROM window_cells)
    GROUP BY account, currency, payout_id, transaction_id
) AS back
LEFT JOIN all_settled AS again
    ON again.account = back.account AND again.transaction_id = back.transaction_id AND back.transaction_id <> ''
GROUP BY back.account, back.currency, back.payout_id, back.amount, back.moment
