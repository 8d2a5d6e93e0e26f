{#
  The database's name of a type: text, bigint, bool, date, timestamp (without a zone: the report's), timestamptz (an
  instant) or decimal(precision,scale), each as dlt makes the column.
#}
{% macro type_of(type) -%}
  {{ return(adapter.dispatch('type_of', 'stripe_reports_source')(type)) }}
{%- endmacro %}

{% macro default__type_of(type) -%}
  {%- set own = {'text': 'varchar', 'bool': 'boolean', 'timestamptz': 'timestamp with time zone'} -%}
  {{ return(own.get(type, type)) }}
{%- endmacro %}

{% macro postgres__type_of(type) -%}
  {{ return('text' if type == 'text' else stripe_reports_source.default__type_of(type)) }}
{%- endmacro %}

{% macro snowflake__type_of(type) -%}
  {%- set own = {'timestamp': 'timestamp_ntz', 'timestamptz': 'timestamp_tz'} -%}
  {{ return(own.get(type) or stripe_reports_source.default__type_of(type)) }}
{%- endmacro %}

{% macro bigquery__type_of(type) -%}
  {%- set own = {'text': 'string', 'bigint': 'int64', 'bool': 'bool', 'timestamp': 'timestamp', 'timestamptz': 'timestamp'} -%}
  {%- set number = 'numeric' if type.endswith(',9)') else 'bignumeric' -%}
  {{ return(own.get(type) or type.replace('decimal', number)) }}
{%- endmacro %}
