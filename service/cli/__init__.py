"""`milepost …`: thin commands over use cases."""
