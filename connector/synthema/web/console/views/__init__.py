"""The views, one module a noun: each asks operations and says what its page shows."""

from synthema.web.console.pages import Route
from synthema.web.console.views import (
    budgets,
    datasets,
    health,
    log,
    plugins,
    policies,
    registry,
    requests,
    studies,
    today,
)

ROUTES: tuple[Route, ...] = (
    *today.ROUTES,
    *policies.ROUTES,
    *requests.ROUTES,
    *datasets.ROUTES,
    *budgets.ROUTES,
    *plugins.ROUTES,
    *log.ROUTES,
    *registry.ROUTES,
    *studies.ROUTES,
    *health.ROUTES,
)

__all__ = ["ROUTES"]
