-- The opening of a cell, and the closing of the one before as it was loaded: they differ where the past has moved.
SELECT account, cell, currency, '' AS item, SUM(figure) AS figure, SUM(against) AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM (
    SELECT account, cell, currency, net AS figure, 0 AS against
    FROM balance WHERE category = 'starting_balance' AND cell IN (SELECT cell FROM cell_pairs)
    UNION ALL
    SELECT closed.account, cell_pairs.cell, closed.currency, 0, closed.net
    FROM before_balance AS closed JOIN cell_pairs ON cell_pairs.cell_before = closed.cell
    WHERE closed.category = 'ending_balance'
) AS both_sides
GROUP BY account, cell, currency
