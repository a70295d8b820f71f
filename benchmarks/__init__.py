"""What the speed claims rest on; run by hand on a machine with nothing else to do."""
