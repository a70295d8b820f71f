"""The asynchronous client, written by hand; `vae_client.blocking` is made from it."""
