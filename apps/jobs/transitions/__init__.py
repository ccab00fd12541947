"""Every SQL write of a job, one file a verb. Nothing else in the house changes a job's row.

Trust: no statement believes the caller about the row. Each names the status that it expects and, where an attempt
speaks, its fence; a row that does not match is left alone, and the answer says so. Moments that rows are compared by
come from the database's clock. Writes of many rows lock them in the order of their ids, and skip those that somebody
holds, so that no statement waits for a person's edit or a handler's transaction.

A statement runs on whatever `Execute` it is given: Django's connection, so that it joins the caller's transaction, or
the bookkeeper's own, where several travel in one pipeline. So each function returns a `Reply`, which is read later.
"""
