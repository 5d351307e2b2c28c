"""A folder for PYTHONPATH, with the sitecustomize that Python imports from it by itself."""
