"""CSV (RFC 4180): rows by the names of their columns, in requests and responses."""
