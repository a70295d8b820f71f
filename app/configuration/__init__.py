"""What settings are made of: variables, host names, and what the machine has."""
