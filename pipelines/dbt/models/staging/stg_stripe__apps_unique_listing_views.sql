-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='apps.unique_listing_views' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('apps_unique_listing_views', [], stripe_reports_source.added_columns()) }}
