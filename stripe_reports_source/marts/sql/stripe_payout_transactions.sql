-- What is in each payout. What the report of all payouts has counts; the report per payout fills in what it lacks.
WITH all_settled AS (
    SELECT * FROM {settled}
    UNION ALL
    SELECT by_id.* FROM {settled_by_id} AS by_id
    WHERE NOT EXISTS (
        SELECT 1 FROM {settled} AS whole WHERE whole.account = by_id.account AND whole.payout_id = by_id.payout_id
    )
)
SELECT account, payout_id, payout_effective_at_utc, payout_effective_at, day AS payout_day,
       transaction_id, currency, category, gross, fee, net, created_utc, created,
       source_id, description, charge_id, payment_intent_id, charge_created_utc, invoice_id, subscription_id,
       customer_id, payment_method_type, card_brand, card_country, customer_facing_amount, customer_facing_currency
FROM all_settled
