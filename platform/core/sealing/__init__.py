"""Values that are stored sealed: whoever reads the database, a dump or a replica learns nothing from them.

A sealed value is `{"$sealed": "KEYID:…"}`: AES-256-GCM over its JSON, with a nonce of its own, under the key whose id
stands before the colon. What it is for (a job type and a field) is authenticated with it, so that it opens nowhere else.
`keys` reads the setting and `form` knows a sealed value when it sees one, both without any cryptography; `ring` seals and
opens, and is loaded by whoever does that.
"""
