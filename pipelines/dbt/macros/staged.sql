{#
  A table that dlt has loaded, or has not: all columns that are known of it, in Stripe's order, then those that are there
  beside them (metadata), then those that the source adds. A column that is not loaded is NULL, of its type; where the
  table is not there, there are no rows.

  table: the usual name of the table.
  columns: pairs of name and type, known of it.
  added: the same for what the source adds to each table.
#}
{% macro staged(table, columns, added=[]) %}
  {%- set there = load_relation(source('stripe_reports', table)) if execute else none -%}
  {%- set stored = {} -%}
  {%- if there is not none -%}
    {%- for column in adapter.get_columns_in_relation(there) -%}
      {%- do stored.update({column.name | lower: column}) -%}
    {%- endfor -%}
  {%- endif -%}
  {%- set known = (columns + added) | map('first') | list -%}
  {%- set others = [] -%}
  {%- for name in stored if name not in known and name != '_cell_dropped' -%}
    {%- do others.append([name, 'text']) -%}
  {%- endfor -%}
select
  {%- for name, type in columns + others + added %}
    {{ stripe_reports_source.staged_column(name, type, stored.get(name)) }}{{ ',' if not loop.last }}
  {%- endfor %}
{%- if there is not none %}
from {{ there }}
{%- else %}
from (select 1 as nothing) as nothing
where 1 = 0
{%- endif %}
{% endmacro %}

{% macro staged_column(name, type, stored) -%}
  {%- if stored is not none -%}
    {{ stored.quoted }}
  {%- else -%}
    cast(null as {{ stripe_reports_source.type_of(type) }}) as {{ stripe_reports_source.quoted(name) }}
  {%- endif -%}
{%- endmacro %}

{# A column's name in quotes, as the database writes names that have none: `rows` is a word of SQL in some. #}
{% macro quoted(name) -%}
  {{ return(adapter.dispatch('quoted', 'stripe_reports_source')(name)) }}
{%- endmacro %}

{% macro default__quoted(name) -%}
  {{ return(adapter.quote(name)) }}
{%- endmacro %}

{% macro snowflake__quoted(name) -%}
  {{ return(adapter.quote(name | upper)) }}
{%- endmacro %}
