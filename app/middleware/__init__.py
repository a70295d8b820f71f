"""The middleware that wraps every HTTP request, from the outside in."""
