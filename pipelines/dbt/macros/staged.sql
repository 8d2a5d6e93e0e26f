{#
  A table that dlt has loaded, or has not: all columns that are known of it, in Stripe's order, then those that are there
  beside them (metadata), then those that the source adds. A column that is not loaded is NULL, of its type; where the
  table is not there, there are no rows.

  table: the usual name of the table.
  columns: pairs of name and type, known of it.
  added: the same for what the source adds to each table.
#}
{% macro staged(table, columns, added=[]) %}
  {%- set there = stripe_reports_source.loaded_table(table) -%}
  {%- set stored = stripe_reports_source.stored_columns(table) -%}
  {%- set known = (columns + added) | map('first') | list -%}
  {%- set others = [] -%}
  {%- for name in stored if name not in known and name != '_cell_dropped' -%}
    {%- do others.append([name, 'text']) -%}
  {%- endfor -%}
select
  {%- for name, type in columns + others + added %}
    {{ stripe_reports_source.staged_column(name, type, stored, known) }}{{ ',' if not loop.last }}
  {%- endfor %}
{%- if there is not none %}
from {{ there }}
{%- else %}
from (select 1 as nothing) as nothing
where 1 = 0
{%- endif %}
{% endmacro %}

{#
  A column as it is stored, or NULL. Older versions of a report write UTC into a column that has the report's zone in newer
  ones: that is the column that ends with _utc, and where it was loaded first, the newer one has been put beside it.
#}
{% macro staged_column(name, type, stored, known) -%}
  {%- set named = stripe_reports_source.quoted(name) -%}
  {%- set nothing = 'cast(null as ' ~ stripe_reports_source.type_of(type) ~ ')' -%}
  {%- set local_name = name[:-4] if name.endswith('_utc') else none -%}
  {%- set values = [] -%}
  {%- if name in stored -%}
    {%- do values.append(stored[name].quoted) -%}
  {%- endif -%}
  {%- if type == 'timestamp' and name in stored and name ~ '_utc' in known and stripe_reports_source.is_instant(stored[name]) -%}
    {%- set beside = stored.get(name ~ '_local') -%}
    {%- set values = [beside.quoted if beside is not none else nothing] -%}
  {%- elif local_name in stored and stripe_reports_source.is_instant(stored[local_name]) -%}
    {%- do values.append(stored[local_name].quoted) -%}
  {%- endif -%}
  {%- if values | length > 1 -%}
    coalesce({{ values | join(', ') }}) as {{ named }}
  {%- elif values == [named] -%}
    {{ named }}
  {%- else -%}
    {{ values[0] or nothing }} as {{ named }}
  {%- endif -%}
{%- endmacro %}

{# True for a column of instants, where the database tells them from times without a zone. #}
{% macro is_instant(column) -%}
  {%- set type = column.data_type | lower -%}
  {{ return('with time zone' in type or 'timestamptz' in type or '_tz' in type or '_ltz' in type) }}
{%- endmacro %}

{# The table in the database; none where it is not there. #}
{% macro loaded_table(table) -%}
  {%- set named = source('stripe_reports', table) -%}
  {{ return(load_relation(named) if execute and flags.INTROSPECT else none) }}
{%- endmacro %}

{# The columns of a table by their names in lower case; none where it is not there. #}
{% macro stored_columns(table) -%}
  {%- set there = stripe_reports_source.loaded_table(table) -%}
  {%- set stored = {} -%}
  {%- if there is not none -%}
    {%- for column in adapter.get_columns_in_relation(there) -%}
      {%- do stored.update({column.name | lower: column}) -%}
    {%- endfor -%}
  {%- endif -%}
  {{ return(stored) }}
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
