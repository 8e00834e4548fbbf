"""The console: the connector's pages for data protection officers and their colleagues, without any script."""

from synthema.web.console.front import UPLOADS, console_router

__all__ = ["UPLOADS", "console_router"]
