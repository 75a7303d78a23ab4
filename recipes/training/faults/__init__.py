"""What can go wrong in a run: told in a sentence, with nothing half-written, and with what helps to find the cause."""
