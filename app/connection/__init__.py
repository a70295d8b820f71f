"""HTTP connections: parsing, limits on size, time and number, writing to sockets."""
