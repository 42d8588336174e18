"""The pipeline of one request: recorded in both editions with the same stages, stored, redacted and exported."""
