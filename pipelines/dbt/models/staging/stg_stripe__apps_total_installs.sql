-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='apps.total_installs' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('apps_total_installs', [], stripe_reports_source.added_columns()) }}
