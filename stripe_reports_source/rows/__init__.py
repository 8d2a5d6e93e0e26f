"""The rows of a result file, exactly typed, as Arrow tables. No dlt, no HTTP."""
