"""The tests mirror service/ and workers/; flows/, faults/ and browser/ run the whole house."""
