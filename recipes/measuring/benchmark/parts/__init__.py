"""What is measured, a file a part: a function that adds figures, and one that makes a section of the page of them."""
