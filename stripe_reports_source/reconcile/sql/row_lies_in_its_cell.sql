-- Per row: the time that puts it into a cell lies inside the cell. The rows for which that is so are counted at once.
-- A cell in which no row has the time is named, for it is not compared.
SELECT account, cell, currency, item, 0 AS figure, 0 AS against, 0 AS gross_difference, 0 AS fee_difference,
       SUM(CASE WHEN outside IS NULL THEN 0 ELSE 1 END) AS count_difference,
       '' AS note, '' AS against_cell, outside AS moment, COUNT(*) AS items
FROM (
    SELECT account, cell, currency, CASE WHEN moment >= cell_end OR moment < cell_start THEN item ELSE '' END AS item,
           CASE WHEN moment >= cell_end OR moment < cell_start THEN moment END AS outside
    FROM touched_book
    WHERE moment IS NOT NULL
) AS rows_of_book
GROUP BY account, cell, currency, item, outside
UNION ALL
SELECT account, cell, currency, '', 0, 0, 0, 0, 0, 'untimed', '', CAST(NULL AS TIMESTAMPTZ), COUNT(*)
FROM touched_book
GROUP BY account, cell, currency
HAVING COUNT(moment) = 0
