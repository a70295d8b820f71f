"""HTTP requests and responses as the calls see them."""
