-- Per transaction that is settled, or not settled yet: amounts, currency and category as in the activity, or, for the
-- money of a payout that came back, as in the payouts. Only what is not alike is looked at figure by figure.
WITH pairs AS (
    SELECT account, cell, currency, unlike_key, SUM(net) AS net, COUNT(*) AS items
    FROM (
        SELECT book.account, book.cell, book.currency, book.net,
               CASE WHEN known.figures_key = book.figures_key THEN NULL ELSE book.transaction_key END AS unlike_key
        FROM touched_book AS book
        LEFT JOIN (
            SELECT owner, transaction_key, figures_key FROM activity
            WHERE transaction_ref IN (SELECT transaction_key FROM touched_book)
            UNION ALL
            SELECT owner, transaction_key, figures_key FROM payouts WHERE category = 'payout_reversal'
        ) AS known ON known.owner = book.owner AND known.transaction_key = book.transaction_key
        WHERE book.transaction_key IS NOT NULL
    ) AS each_pair
    GROUP BY account, cell, currency, unlike_key
),
unlike AS (SELECT DISTINCT unlike_key FROM pairs WHERE unlike_key IS NOT NULL),
known AS (
    SELECT account, cell, transaction_id, currency, category, gross, fee, net, figures_key FROM activity
    WHERE transaction_ref IN (SELECT unlike_key FROM unlike)
    UNION ALL
    SELECT account, cell, transaction_id, currency, category, gross, fee, net, figures_key FROM payouts
    WHERE category = 'payout_reversal'
)
SELECT account, cell, currency, '' AS item, net AS figure, net AS against, 0 AS gross_difference, 0 AS fee_difference,
       0 AS count_difference, '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment, items
FROM pairs WHERE unlike_key IS NULL
UNION ALL
SELECT book.account, book.cell, book.currency, book.transaction_id, book.net, COALESCE(known.net, 0),
       book.gross - COALESCE(known.gross, 0), book.fee - COALESCE(known.fee, 0),
       CASE WHEN known.transaction_id IS NULL THEN 1 ELSE 0 END,
       CASE WHEN known.transaction_id IS NULL THEN 'missing'
            WHEN known.currency <> book.currency THEN 'currency'
            WHEN known.category <> book.category THEN 'category' ELSE '' END,
       COALESCE(known.cell, ''), book.created, 1
FROM touched_book AS book
LEFT JOIN known ON known.account = book.account AND known.transaction_id = book.transaction_id
WHERE book.transaction_key IN (SELECT unlike_key FROM unlike)
  AND (known.transaction_id IS NULL OR known.figures_key <> book.figures_key)
