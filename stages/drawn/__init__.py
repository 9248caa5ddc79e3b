"""Pages drawn by code, large, as people send them, and digits on them in many people's handwriting."""
