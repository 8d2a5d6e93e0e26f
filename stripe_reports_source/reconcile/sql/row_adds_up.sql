-- Per row: net = gross with fees taken off. The rows for which that is so are summed up at once.
SELECT account, cell, currency, item, SUM(net) AS figure, SUM(parts) AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment, COUNT(*) AS items
FROM (
    SELECT account, cell, currency, net, gross + fee AS parts,
           CASE WHEN net = gross + fee THEN '' ELSE item END AS item,
           CASE WHEN net = gross + fee THEN NULL ELSE net END AS other_net,
           CASE WHEN net = gross + fee THEN NULL ELSE gross + fee END AS other_parts
    FROM touched_book
) AS rows_of_book
GROUP BY account, cell, currency, item, other_net, other_parts
