-- What is not paid out yet: the newest snapshot of each account, and no other.
WITH newest AS (
    SELECT account, MAX(end_at) AS snapshot_at FROM {cells} WHERE input = 'unsettled' GROUP BY account
)
SELECT unsettled.account, unsettled.snapshot_at, unsettled.snapshot_day,
       transaction_id, currency, category, gross, fee, net, created_utc, created,
       source_id, description, charge_id, payment_intent_id, charge_created_utc, invoice_id, subscription_id,
       customer_id, payment_method_type, card_brand, card_country, customer_facing_amount, customer_facing_currency
FROM {unsettled} AS unsettled
JOIN newest ON newest.account = unsettled.account AND newest.snapshot_at = unsettled.snapshot_at
