-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='connected_account_stripe_fees.incurred_at.itemized' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('connected_account_stripe_fees_incurred_at_itemized', [
    ['account', 'text'],
    ['fee_category', 'text'],
    ['incurred_by_type', 'text'],
    ['amount', 'decimal(38,18)'],
], stripe_reports_source.added_columns()) }}
