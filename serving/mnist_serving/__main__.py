"""`python -m mnist_serving` is the command `mnist-serving`."""

from .cli import main

if __name__ == "__main__":
    main()
