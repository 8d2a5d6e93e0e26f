-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='card_payments_fees.transaction_level' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('card_payments_fees_transaction_level', [], stripe_reports_source.added_columns()) }}
