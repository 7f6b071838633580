"""What several use cases do on their way. A step calls no use case; an edge calls no step."""
