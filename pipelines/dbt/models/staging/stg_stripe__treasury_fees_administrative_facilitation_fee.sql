-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='treasury_fees.administrative_facilitation_fee' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('treasury_fees_administrative_facilitation_fee', [
    ['balance_amount', 'decimal(38,9)'],
    ['balance_currency', 'text'],
    ['date', 'date'],
    ['effr_value', 'decimal(38,28)'],
    ['fee', 'decimal(38,18)'],
    ['financial_account', 'text'],
    ['merchant', 'text'],
], stripe_reports_source.added_columns()) }}
