"""The Dataspace Protocol: the official schemas, a target for the official kit, and the kit's cases played by us.

* :mod:`standards` holds what we write and read against the official schemas and examples;
* :mod:`target` is our connector with what the Eclipse conformance kit needs (``make tck-target``):
  :mod:`seeds`, :mod:`script`, :mod:`stage` and :mod:`line` are its parts;
* :mod:`kit` and :mod:`talks` play the kit's side over HTTP, :mod:`cases` (with :mod:`negotiation_cases` and
  :mod:`transfer_cases`) are its 65 cases, :mod:`running` plays them all.
"""
