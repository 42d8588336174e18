"""Programs that use an edition's own modules, step by step; run by `shared.lab.controls.inside`.

Each has `wsgi` and `asgi`, the same steps in both; editions are imported by name, as everywhere in the lab.
"""
