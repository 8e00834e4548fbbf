"""The front of the console: who may come in, what leaves, and the way to each view.

Every address but sign-in and the style sheet needs a session (or, for reading,
the management token as bearer). Every form carries the mark of the browser it
was made for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.canonical import MAX_JSON_BYTES
from synthema.errors import DeniedError, NotFoundError, SynthemaError
from synthema.resources import package_text
from synthema.web.console import pages
from synthema.web.console.desk import Desk
from synthema.web.console.forms import Form, read_form
from synthema.web.console.pages import Answer, Download, Page, Visit
from synthema.web.console.sessions import LONGEST, CookieNames, Sessions, new_name
from synthema.web.console.views import ROUTES, Route
from synthema.web.security import status_of
