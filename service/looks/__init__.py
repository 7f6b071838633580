"""Pages made outside a request: sign-up forms as they look, and the proof to print. Jinja2 over templates/pages."""
