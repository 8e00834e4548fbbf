"""Failed assertions in the helpers are explained like those of tests."""

import pytest

pytest.register_assert_rewrite("tests.crash.state", "tests.e2e.house")
