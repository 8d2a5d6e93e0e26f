"""What people ask of the numbers, as tables: balance roll-forward, payouts, fees, journal lines. Each is one SQL file.

In: an open dataset. Out: rows of a mart, and the SQL that gives them. Reads only, but for views that are asked for.
`catalog` says what the marts and their columns are, `inputs` what they read, `reading` puts both together for a
destination.
"""

from .catalog import MARTS, Mart
from .columns import MartColumn
from .reading import MartRows, Marts, create_views, open_marts, read_mart

__all__ = ["MARTS", "Mart", "MartColumn", "MartRows", "Marts", "create_views", "open_marts", "read_mart"]
