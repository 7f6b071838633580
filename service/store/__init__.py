"""PostgreSQL: tables, queries (one module per noun), the transaction and the migrations. SQL lives here only."""
