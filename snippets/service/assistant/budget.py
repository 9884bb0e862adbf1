"""How many retries a process may spend."""


class RetryBudget:
    """Lets one of five calls be repeated, and a few more that were saved up.

    A provider that fails for everybody must not get three times the calls for it: with a budget, a full failure adds
    a fifth to what it has to refuse, and the few retries of a good day are never missed.
    """

    def __init__(self, share: float = 0.2, reserve: float = 5) -> None:
        self._share = share
        self._reserve = reserve
        self._left = reserve

    def deposit(self) -> None:
        """Count a call that is no retry."""
        self._left = min(self._left + self._share, self._reserve)

    def withdraw(self) -> bool:
        """Take one retry. Returns False when there is none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
