"""The programs: command line, later web and worker."""
