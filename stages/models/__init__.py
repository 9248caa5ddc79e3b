"""What box 2 can hold: a file for each kind of network."""
