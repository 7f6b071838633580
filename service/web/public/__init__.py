"""What readers see. No cookies, no JavaScript needed, nobody else's hosts. A link asks, a button acts."""
