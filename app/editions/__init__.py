"""The checkpoint that is served, with all that answers with it, and its successor."""
