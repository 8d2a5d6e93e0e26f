-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='failed_payouts.itemized' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('failed_payouts_itemized', [
    ['retried_payout_id', 'text'],
], stripe_reports_source.added_columns()) }}
