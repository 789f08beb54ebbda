"""The deployment on AWS: Lambda handlers, their template, the package, the costs, and an emulator for tests.

May import support, waterfall, intake, store and core. Begin with `lambdas.py` beside `template.yaml`.
"""
