"""The catalogue of a centre's films: patients, cases, studies, images, and every file they came from.

Tables are in SQLite inside the archive folder, or in PostgreSQL by URL; the films are copied under the hash of their
content. Who may see a patient is decided in ``access`` alone.
"""

from osteon._optional import require

for _package in ("sqlalchemy", "alembic"):
    require(_package, extra="archive", purpose="for the catalogue of films")
