"""The measurements behind the speed claims; run them by hand on an idle machine."""
