"""Where images come from: a file for each data set, or family of data sets, that box 1 can name."""
