"""What can go wrong in a run: reported in a sentence, with nothing half-written, and with help to find the cause."""
