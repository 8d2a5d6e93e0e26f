-- Per row: the time that puts it into a cell lies inside the cell.
SELECT account, cell, currency, item, 0 AS figure, 0 AS against, 0 AS gross_difference, 0 AS fee_difference,
       CASE WHEN moment >= cell_end OR moment < cell_start THEN 1 ELSE 0 END AS count_difference,
       '' AS note, '' AS against_cell, moment
FROM touched_book
WHERE moment IS NOT NULL
