"""The HTTP service, as an ASGI application for any server. Needs the extra `http`; `serve` runs it without one."""

from typing import TYPE_CHECKING

from mnist_serving.classifier import Classifier

from .limits import Limits

if TYPE_CHECKING:
    from .asgi import Application

__all__ = ["Limits", "create_app"]


def create_app(classifier: Classifier | None = None, *, limits: Limits | None = None) -> "Application":
    """Return the service as an ASGI application, ready to answer.

    Args:
        classifier: the model; by default the one in the package.
        limits: how much is accepted; by default the defaults of `Limits`.

    Raises:
        MnistServingError: the model cannot be used.

    """
    # Imported here, so that the command line starts without what only the server needs.
    from .asgi import Application
    from .service import Service

    service = Service(limits)
    service.open(classifier or Classifier())
    return Application(service)
