-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='apps.install_events' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('apps_install_events', [], stripe_reports_source.added_columns()) }}
