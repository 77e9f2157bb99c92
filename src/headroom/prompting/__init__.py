"""What is said to the model and read from it: pure text, no I/O."""
