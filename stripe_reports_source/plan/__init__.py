"""What is to be run: reports, columns, intervals, cells, lanes. Pure: no dlt, no HTTP, no Arrow."""
