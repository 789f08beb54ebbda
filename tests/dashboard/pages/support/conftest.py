"""The desk's pages: a server with devices, somebody of the staff, and the home of a device."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from aggregator.store.port import Store
from tests.dashboard.people import Clock, browser, somebody
from tests.dashboard.support_desks import server_on, staff_on


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(store: Store, clock: Clock) -> Flask:
    return server_on(store, clock)


@pytest.fixture
def staff(server: Flask, store: Store) -> FlaskClient:
    return staff_on(server, store)


@pytest.fixture
def home(server: Flask, store: Store) -> FlaskClient:
    return browser(server, store, somebody(store, household="hh-1"))
