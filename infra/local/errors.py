"""What can go wrong while setting up or running here, said in one line with its remedy."""


class SetupProblem(Exception):
    """Something the person at the keyboard can mend; the message says what happened and what to do."""
