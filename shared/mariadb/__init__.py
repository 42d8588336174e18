"""What is different where the database is a MariaDB: its dialects, its statements, and how its tables come to be.

Everything else of the project is the same for both databases, and nothing of this is imported where the database is a
PostgreSQL.
"""
