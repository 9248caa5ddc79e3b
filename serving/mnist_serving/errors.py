"""What can go wrong in a way that a person can mend."""


class MnistServingError(Exception):
    """The base of the package's errors; the text says what is wrong and what to do."""


class ModelError(MnistServingError):
    """The model file cannot be used."""


class FileError(MnistServingError):
    """A file cannot be read, or is not what it should be."""
