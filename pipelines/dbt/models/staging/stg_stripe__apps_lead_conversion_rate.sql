-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='apps.lead_conversion_rate' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('apps_lead_conversion_rate', [], stripe_reports_source.added_columns()) }}
