"""Where requests are computed: the micro-batcher and the thread of the analyses."""
