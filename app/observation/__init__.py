"""What whoever runs the service sees: metrics, access log, times, traces."""
