-- Per category: the rows of an itemized report, and the lines of its summary.
SELECT account, cell, currency, category AS item, SUM(figure) AS figure, SUM(against) AS against,
       SUM(gross) AS gross_difference, SUM(fee) AS fee_difference, SUM(line_count) AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM (
    SELECT account, cell, currency, category, SUM(net) AS figure, 0 AS against,
           SUM(gross) AS gross, SUM(fee) AS fee, COUNT(*) AS line_count
    FROM itemized GROUP BY account, cell, currency, category
    UNION ALL
    SELECT account, cell, currency, category, 0, net, -gross, -fee, -line_count FROM summary WHERE category <> 'total'
) AS both_sides
GROUP BY account, cell, currency, category
