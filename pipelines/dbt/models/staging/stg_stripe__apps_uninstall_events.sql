-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='apps.uninstall_events' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('apps_uninstall_events', [], stripe_reports_source.added_columns()) }}
