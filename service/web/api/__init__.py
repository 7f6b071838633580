"""The operators' HTTP API under /api/v1, with bearer tokens."""
