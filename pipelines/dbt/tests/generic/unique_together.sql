{# Rows that have the same values in all of these columns; rows in which one of them is NULL are left out. #}
{% test unique_together(model, columns) %}
  {%- set listed = [] -%}
  {%- for column in columns -%}
    {%- do listed.append(stripe_reports_source.quoted(column)) -%}
  {%- endfor %}
select {{ listed | join(', ') }}, count(*) as times
from {{ model }}
where {{ listed | join(' is not null and ') }} is not null
group by {{ listed | join(', ') }}
having count(*) > 1
{% endtest %}
