-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='connected_account_financial_account_balance_change_from_activity.summary' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('connected_account_financial_account_balance_change_from_activity_summary', [], stripe_reports_source.added_columns()) }}
