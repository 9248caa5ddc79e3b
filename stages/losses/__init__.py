"""What the loss in box 3 can be: a file for each."""
