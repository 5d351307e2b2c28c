"""Every learning rule side by side: a command, a report, and results.json."""
