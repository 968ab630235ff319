"""What is written into the API and into metrics from the result of each pass."""
