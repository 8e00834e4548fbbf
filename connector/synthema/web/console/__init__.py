"""The console: the connector's pages for data protection officers and their colleagues, without any script."""

from synthema.web.console.front import MAX_UPLOAD_BYTES, UPLOADS, console_router

__all__ = ["MAX_UPLOAD_BYTES", "UPLOADS", "console_router"]
