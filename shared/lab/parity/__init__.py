"""The parity check: the same requests to both editions, and everything compared that a client can see.

`check.run` is the whole; `cases` says what is sent, `transport` sends it byte for byte, `judgement` compares,
`statements` counts the SQL at the database, `result` holds what came of it.
"""
