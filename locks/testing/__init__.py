"""What users of locks, and writers of stores, test with. Nothing of it is needed to use a lock.

`contract` holds what every store must do, as a class of tests to inherit from; `clock` lets leases pass in no time;
`network` loses, delays and doubles what goes to a memory store; `history` writes down what real processes did, and `checker`
says in linear time whether that was a fenced mutex.
"""
