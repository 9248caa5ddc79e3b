"""When the model abstains: the detector, the calibration, and the pictures that the detector learns from."""
