-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='apps.listing_views' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('apps_listing_views', [], stripe_reports_source.added_columns()) }}
