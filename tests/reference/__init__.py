"""Independent implementations that the library is compared with, each of them once.

They are written from the papers and from the definitions, in plain NumPy or in PyTorch, and share
no line with the package.
"""
