-- Every fee: what was taken off each transaction, and what Stripe billed in transactions of their own.
WITH fees AS (
    SELECT activity.*, CASE WHEN category IN ('fee', 'network_cost') THEN 'billed' ELSE 'of_transaction' END AS kind
    FROM {activity} AS activity
    WHERE fee <> 0 OR category IN ('fee', 'network_cost')
)
SELECT account, transaction_id, month, day, currency, category, kind,
       CASE WHEN kind = 'billed' THEN net ELSE fee END AS fee,
       CASE WHEN kind = 'billed' THEN NULL ELSE gross END AS taken_from,
       created_utc, created, source_id, description, charge_id, payment_intent_id, charge_created_utc, invoice_id,
       subscription_id, customer_id, payment_method_type, card_brand, card_country, customer_facing_amount,
       customer_facing_currency
FROM fees
