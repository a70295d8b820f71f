"""Apache Parquet: rows by the names of their columns, in requests and responses."""
