"""A connection: what comes from the socket, within limits, and what goes back."""
