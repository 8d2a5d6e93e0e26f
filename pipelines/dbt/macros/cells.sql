{#
  Incremental models of rows hold the cells of reports, whole. A cell is taken anew when the load package that it comes
  from is another one than that of the rows here; a cell that has been removed, or has no rows any more, leaves.
#}

{# Before the model's own SQL: remove the rows of all cells that `report_cells` does not list as they are here. #}
{% macro remove_changed_cells(tables) %}
  {%- if flags.INTROSPECT and is_incremental() -%}
delete from {{ this }}
where not exists (
    select 1
    from (
        select account as cell_account, interval_key as cell_key, _dlt_load_id as cell_load_id
        from {{ ref('stg_stripe__report_cells') }}
        where table_name in ({{ stripe_reports_source.identifiers(tables) }})
    ) as cells
    where cell_account = _account and cell_key = _interval_key and cell_load_id = _dlt_load_id
)
  {%- endif -%}
{% endmacro %}

{# A condition on the rows of a report: those of cells that are not here. #}
{% macro of_new_cells(rows) -%}
  {%- if flags.INTROSPECT and is_incremental() -%}
not exists (
    select 1
    from (select distinct _account, _interval_key from {{ this }}) as kept
    where kept._account = {{ rows }}._account and kept._interval_key = {{ rows }}._interval_key
)
  {%- else -%}
1 = 1
  {%- endif -%}
{%- endmacro %}

{# The names of tables in the database, as literals. #}
{% macro identifiers(tables) -%}
  {%- for table in tables -%}
    '{{ source('stripe_reports', table).identifier }}'{{ ', ' if not loop.last }}
  {%- endfor -%}
{%- endmacro %}

{# Of these columns the first one that is loaded, else the first; quoted. #}
{% macro first_loaded(table, names) -%}
  {%- set stored = stripe_reports_source.stored_columns(table) -%}
  {%- for name in names if name in stored -%}
    {{ return(stripe_reports_source.quoted(name)) }}
  {%- endfor -%}
  {{ return(stripe_reports_source.quoted(names[0])) }}
{%- endmacro %}

{# A condition: true where of each of these choices a column is loaded, without which the figures would be wrong. #}
{% macro has_columns(table, choices) -%}
  {%- set stored = stripe_reports_source.stored_columns(table) -%}
  {%- for names in choices if not names | select('in', stored) | list -%}
    {{ return('1 = 0') }}
  {%- endfor -%}
  {{ return('1 = 1') }}
{%- endmacro %}

{# A condition on interval keys: cells with all rows of a report, or all of a connected account. #}
{% macro all_rows(key) -%}
  ({{ key }} not like '%|{"%' or ({{ key }} like '%|{"connected_account":"%' and {{ key }} not like '%","%'))
{%- endmacro %}

{# The connected account that a run was for, from the key of its cell. #}
{% macro connected_account_of(key) -%}
  {{ dbt.split_part(dbt.split_part(key, "'\"connected_account\":\"'", 2), "'\"'", 1) }}
{%- endmacro %}
