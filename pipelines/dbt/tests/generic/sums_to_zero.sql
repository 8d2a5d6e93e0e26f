{# Groups in which an expression does not add up to 0; where a figure of it is NULL, it is not known. #}
{% test sums_to_zero(model, expression, group_by) %}
select {{ group_by | join(', ') }}, sum({{ expression }}) as remainder
from {{ model }}
group by {{ group_by | join(', ') }}
having sum({{ expression }}) <> 0 and count(*) = count({{ expression }})
{% endtest %}
