"""The interfaces of a connector in the words of OpenAPI 3.1: what may be asked, and every answer there is."""

from synthema.web.openapi.document import Answer, Described, Parameter
from synthema.web.openapi.management import management_document, management_operations
from synthema.web.openapi.public import PUBLIC, public_document

__all__ = [
    "PUBLIC",
    "Answer",
    "Described",
    "Parameter",
    "management_document",
    "management_operations",
    "public_document",
]
