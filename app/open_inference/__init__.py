"""The Open Inference Protocol (V2): the same calls, as KServe and Triton ask them."""
