"""Knowing when not to answer: the detector, its calibration, and the pictures that both learn from."""
