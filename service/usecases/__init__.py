"""One function per thing the product does. Takes the transaction first, returns values; never calls another use case."""
