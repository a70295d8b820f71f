"""What every HTTP request passes through, from the outermost wrapper inwards."""
