"""The wire formats: JSON, safetensors, npy and images, to arrays and back."""
