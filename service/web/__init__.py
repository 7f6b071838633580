"""The HTTP edge: opens the transaction, calls one use case, turns its value into a page or JSON."""
