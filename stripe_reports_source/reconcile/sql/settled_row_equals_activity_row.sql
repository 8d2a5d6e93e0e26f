-- Per transaction that is settled, or not settled yet: amounts, currency and category as in the activity, or, for the
-- money of a payout that came back, as in the payouts.
WITH known AS (
    SELECT account, cell, transaction_id, currency, category, gross, fee, net FROM activity
    WHERE transaction_id IN (SELECT transaction_id FROM touched_book)
    UNION ALL
    SELECT account, cell, transaction_id, currency, category, gross, fee, net FROM payouts
    WHERE category = 'payout_reversal'
)
SELECT book.account, book.cell, book.currency, book.transaction_id AS item,
       book.net AS figure, COALESCE(known.net, 0) AS against,
       book.gross - COALESCE(known.gross, 0) AS gross_difference, book.fee - COALESCE(known.fee, 0) AS fee_difference,
       CASE WHEN known.transaction_id IS NULL THEN 1 ELSE 0 END AS count_difference,
       CASE WHEN known.transaction_id IS NULL THEN 'missing'
            WHEN known.currency <> book.currency THEN 'currency'
            WHEN known.category <> book.category THEN 'category' ELSE '' END AS note,
       COALESCE(known.cell, '') AS against_cell, book.created AS moment
FROM touched_book AS book
LEFT JOIN known ON known.account = book.account AND known.transaction_id = book.transaction_id
WHERE book.transaction_id <> ''
