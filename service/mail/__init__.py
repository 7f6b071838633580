"""Everything that knows MIME, Jinja2 or SMTP: rendering, composing, the wire, the journal."""
