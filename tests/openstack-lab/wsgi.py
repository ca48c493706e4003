# SPDX-License-Identifier: GPL-3.0-or-later
"""What uwsgi runs: the application of the service that LAB_SERVICE names."""
import os
import sys

sys.argv = sys.argv[:1]  # each of them would read it
SERVICE = os.environ["LAB_SERVICE"]
if SERVICE == "keystone":
    from keystone.server.wsgi import initialize_public_application
    application = initialize_public_application()
elif SERVICE == "glance":
    from glance.common.wsgi_app import init_app
    application = init_app()
elif SERVICE == "placement":
    from placement.wsgi import init_application
    application = init_application()
else:
    from nova.api.openstack.compute.wsgi import init_application
    application = init_application()
