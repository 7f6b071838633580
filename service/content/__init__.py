"""Reading feeds into articles: fetching, parsing, cleaning. Knows no database."""
