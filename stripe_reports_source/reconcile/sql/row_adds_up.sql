-- Per row: net = gross with fees taken off.
SELECT account, cell, currency, item, net AS figure, gross + fee AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM touched_book
