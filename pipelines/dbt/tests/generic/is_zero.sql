{# Rows whose column is not 0; where it is NULL, there was nothing to compare. #}
{% test is_zero(model, column) %}
select *
from {{ model }}
where {{ column }} <> 0
{% endtest %}
