"""From any grey picture of one digit to the 28x28 pixels that the model expects."""
