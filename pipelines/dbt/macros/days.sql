{# Days and months of the report's zone, which the key of a cell names: account|report|grid|zone|day. #}

{#
  The day of a row: as Stripe writes it in the report's zone, and from UTC in rows of versions that have UTC alone.

  utc, local: columns that may have the time; the first one that is loaded counts.
  key: the column with interval keys; none for reports without days, whose zone is UTC.
#}
{% macro day_of(table, utc, local, key) -%}
  {%- set stored = stripe_reports_source.stored_columns(table) -%}
  {%- set days = [] -%}
  {%- for name in local if name in stored and not stripe_reports_source.is_instant(stored[name]) -%}
    {%- if loop.first -%}{%- do days.append('cast(' ~ name ~ ' as date)') -%}{%- endif -%}
  {%- endfor -%}
  {%- set has_utc = utc | select('in', stored) | reject('in', local) | list or not days -%}
  {%- if has_utc -%}
    {%- do days.append(stripe_reports_source.day_in_zone(utc[0], stripe_reports_source.zone_of(key))) -%}
  {%- endif -%}
  {{ return(days[0] if days | length == 1 else 'coalesce(' ~ days | join(', ') ~ ')') }}
{%- endmacro %}

{% macro month_of(day) -%}
  {{ return('cast(' ~ dbt.date_trunc('month', day) ~ ' as date)') }}
{%- endmacro %}

{% macro zone_of(key) -%}
  {{ return("'UTC'" if key is none else "regexp_replace(substr(" ~ key ~ ", 1, length(" ~ key ~ ") - 11), '^.*[|]', '')") }}
{%- endmacro %}

{% macro day_in_zone(instant, zone) -%}
  {{ return(adapter.dispatch('day_in_zone', 'stripe_reports_source')(instant, zone)) }}
{%- endmacro %}

{% macro default__day_in_zone(instant, zone) -%}
  {{ return('cast(' ~ instant ~ ' at time zone ' ~ zone ~ ' as date)') }}
{%- endmacro %}

{% macro snowflake__day_in_zone(instant, zone) -%}
  {{ return('cast(convert_timezone(' ~ zone ~ ', ' ~ instant ~ ') as date)') }}
{%- endmacro %}

{% macro bigquery__day_in_zone(instant, zone) -%}
  {{ return('date(' ~ instant ~ ', ' ~ zone ~ ')') }}
{%- endmacro %}

{# The first day of a cell, from the instant that it begins at. #}
{% macro first_day_of(start, key) -%}
  {{ return(stripe_reports_source.day_in_zone(start, stripe_reports_source.zone_of(key))) }}
{%- endmacro %}

{# The last day of a cell, from the instant that ends it. #}
{% macro last_day_of(end, key) -%}
  {{ return(adapter.dispatch('last_day_of', 'stripe_reports_source')(end, stripe_reports_source.zone_of(key))) }}
{%- endmacro %}

{% macro default__last_day_of(end, zone) -%}
  {{ return(stripe_reports_source.day_in_zone("(" ~ end ~ " - interval '1 second')", zone)) }}
{%- endmacro %}

{% macro snowflake__last_day_of(end, zone) -%}
  {{ return(stripe_reports_source.day_in_zone('dateadd(second, -1, ' ~ end ~ ')', zone)) }}
{%- endmacro %}

{% macro bigquery__last_day_of(end, zone) -%}
  {{ return(stripe_reports_source.day_in_zone('timestamp_sub(' ~ end ~ ', interval 1 second)', zone)) }}
{%- endmacro %}
