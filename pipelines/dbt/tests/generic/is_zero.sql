{#
  Rows whose column is not 0; where it is NULL, there was nothing to compare.

  rows_of: whose rows; another model than the one that is tested is not a reason to leave that one out of a build.
#}
{% test is_zero(model, column, rows_of) %}
select *
from {{ rows_of }}
where {{ column }} <> 0
{% endtest %}
