-- Per row: the time that puts it into a cell lies inside the cell. The rows for which that is so are counted at once.
-- A row without the time is named where others of its cell have it; so is a cell in which no row has it, for it is not
-- compared.
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
SELECT book.account, book.cell, book.currency, book.item, 0, 0, 0, 0, COUNT(*), 'timeless', '',
       CAST(NULL AS TIMESTAMPTZ), 1
FROM touched_book AS book
JOIN (
    SELECT account, cell, currency FROM touched_book GROUP BY account, cell, currency HAVING COUNT(moment) > 0
) AS timed ON timed.account = book.account AND timed.cell = book.cell AND timed.currency = book.currency
WHERE book.moment IS NULL
GROUP BY book.account, book.cell, book.currency, book.item
UNION ALL
SELECT account, cell, currency, '', 0, 0, 0, 0, 0, 'untimed', '', CAST(NULL AS TIMESTAMPTZ), COUNT(*)
FROM touched_book
GROUP BY account, cell, currency
HAVING COUNT(moment) = 0
