-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='all_fees.balance_transaction_created.itemized' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('all_fees_balance_transaction_created_itemized', [
    ['balance_transaction_created', 'timestamp'],
    ['balance_transaction_id', 'text'],
    ['fee_transaction_created', 'timestamp'],
    ['fee_transaction_id', 'text'],
    ['incurred_at', 'timestamp'],
    ['incurred_by', 'text'],
    ['incurred_by_type', 'text'],
    ['fee_description', 'text'],
    ['amount', 'decimal(38,18)'],
    ['tax', 'decimal(38,18)'],
    ['currency', 'text'],
    ['product', 'text'],
    ['feature_name', 'text'],
    ['pricing_tier', 'bigint'],
    ['settled_at', 'timestamp'],
    ['settled_via', 'text'],
    ['suite', 'text'],
    ['fee_category', 'text'],
], stripe_reports_source.added_columns()) }}
