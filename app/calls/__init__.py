"""The calls of the service: one file per URL, and `table`, the URL map."""
