"""Where images come from: a file for each data set, or family of them, that box 1 can hold."""
