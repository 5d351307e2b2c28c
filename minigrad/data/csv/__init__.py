"""A data set from a table in a CSV file: `from_csv` is in `table`."""
