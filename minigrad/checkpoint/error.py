"""The one error of files that cannot be loaded."""


class CheckpointError(ValueError):
    """A file cannot be loaded. The message has the file's name, what is wrong, what to do.

    It is raised before anything is touched: models, optimisers and streams stay as they were.
    """
