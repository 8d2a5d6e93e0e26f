-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='payout_reconciliation.summary' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('payout_reconciliation_summary', [
    ['reporting_category', 'text'],
    ['currency', 'text'],
    ['count', 'bigint'],
    ['gross', 'decimal(38,9)'],
    ['fee', 'decimal(38,9)'],
    ['net', 'decimal(38,9)'],
], stripe_reports_source.added_columns()) }}
