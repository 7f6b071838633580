"""One function per thing the product does: transaction first, values back; none calls another use case."""
