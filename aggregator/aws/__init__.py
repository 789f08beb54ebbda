"""The deployment on AWS: Lambda handlers, template, package, costs, and an emulator for demos and tests.

May import support, waterfall, intake, store and core. Begin with `lambdas.py` and `template.yaml`.
"""
