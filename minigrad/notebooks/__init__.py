"""The lessons as Jupyter notebooks: `minigrad notebooks FOLDER`, clean or with their outputs."""
