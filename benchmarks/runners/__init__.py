"""One program a kind of runtime; each answers the same question in the same words.

    PROGRAM MODEL PIXELS ANSWER SIZE...

PIXELS holds N images of 28x28 bytes. For every batch size the program runs all N images through MODEL and adds
the logits, then the probabilities, to ANSWER: one line of text, the runtime's version, then 32-bit little-endian
floats. The browser's page fetches its MODEL and PIXELS, finds its sizes in its address, and posts its ANSWER.
"""
