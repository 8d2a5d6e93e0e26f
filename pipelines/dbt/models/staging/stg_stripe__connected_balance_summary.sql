-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='connected_account_balance.summary' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('connected_account_balance_summary', [
    ['category', 'text'],
    ['description', 'text'],
    ['net_amount', 'decimal(38,9)'],
    ['currency', 'text'],
], stripe_reports_source.added_columns()) }}
