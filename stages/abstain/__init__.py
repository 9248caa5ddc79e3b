"""Knowing when not to answer: the detector, its calibration, and the pictures that the detector learns from."""
