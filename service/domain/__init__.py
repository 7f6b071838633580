"""Pure values and decisions. No I/O, no framework, no clock: what a function needs to know is a parameter."""
