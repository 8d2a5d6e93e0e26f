-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='all_fees.balance_transaction_created.summary' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('all_fees_balance_transaction_created_summary', [
    ['suite', 'text'],
    ['product', 'text'],
    ['feature_name', 'text'],
    ['feature_description', 'text'],
    ['amount', 'decimal(38,18)'],
    ['tax', 'decimal(38,18)'],
    ['currency', 'text'],
], stripe_reports_source.added_columns()) }}
