"""Steps from one version of the tables to the next; a test compares where they lead with ``archive.tables``.

A new step is a module in ``versions`` that names the one before it. It alters tables within
``op.batch_alter_table``, for SQLite cannot alter them in place.
"""
