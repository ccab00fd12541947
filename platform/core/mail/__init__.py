"""Mail that leaves the platform, through Django's backend of whatever kind the settings name.

- `relay` reads EMAIL_URL: the server that mail is handed over to, and how the line there is kept private.
- `mailbox` reads an address, and `message` makes the mail: both refuse what could break out of its field.
- `backend` is Django's own SMTP backend with an end to everything that it waits for, and with what Django's throws away:
  which of several recipients the server refused.
- `sending` hands a mail over and says what came of it in three words: sent, `Deferred` (later it may work), `Rejected`
  (it never will). All that a server's answer can be ends in one of them.

Trust: addresses, headers and names come from payloads, so nothing of theirs may hold a line's end or another control
character. The server is the operator's: it may be inside, and its words are shown as text.

Failure: SMTP has no transaction that reaches us. When the line breaks after the last byte, the server may have taken the
mail: it is sent again, under the same Message-ID, by which a repeat is known.
"""
