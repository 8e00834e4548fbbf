"""The views, one module a noun: each asks operations and says what its page shows."""

from synthema.web.console.pages import Route
from synthema.web.console.views import (
    assessments,
    budgets,
    consents,
    datasets,
    health,
    law,
    log,
    obligations,
    permits,
    plugins,
    policies,
    policy_check,
    policy_duo,
    policy_replay,
    policy_suppose,
    policy_templates,
    registry,
    requests,
    review,
    studies,
    today,
)

ROUTES: tuple[Route, ...] = (
    *today.ROUTES,
    *obligations.ROUTES,
    *policies.ROUTES,
    *policy_check.ROUTES,
    *policy_suppose.ROUTES,
    *policy_replay.ROUTES,
    *policy_templates.ROUTES,
    *policy_duo.ROUTES,
    *requests.ROUTES,
    *review.ROUTES,
    *permits.ROUTES,
    *consents.ROUTES,
    *assessments.ROUTES,
    *datasets.ROUTES,
    *budgets.ROUTES,
    *plugins.ROUTES,
    *law.ROUTES,
    *log.ROUTES,
    *registry.ROUTES,
    *studies.ROUTES,
    *health.ROUTES,
)

__all__ = ["ROUTES"]
