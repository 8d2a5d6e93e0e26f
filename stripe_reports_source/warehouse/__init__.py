"""All that knows the inside of dlt, or SQL: destinations, hints, locks, what is stored."""
