"""Our own application for other people's ASGI servers."""

from mnist_serving.http import create_app

app = create_app()
