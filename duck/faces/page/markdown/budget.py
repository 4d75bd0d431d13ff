"""How much work the texts of one page may cause."""

MAX_STEPS = 200_000  # for one page: about a second, in a thread of its own; a long answer takes 10,000


class Budget:
    """How many steps all texts of one page may take together. A step is about one call of one of the parser's rules.

    The cost of texts of the same length can differ by a factor of thousands, and cannot be estimated in advance.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int = 1) -> None:
        """Uses up some steps. Raises `OverBudget` if none are left."""
        self.steps -= steps
        if self.steps < 0:
            raise OverBudget

    def spend_if_left(self, steps: int) -> bool:
        """Uses up some steps if half of those that are left are enough. Returns whether they were."""
        if steps > self.steps // 2:
            return False
        self.steps -= steps
        return True


class OverBudget(Exception):  # noqa: N818 - not an error: the text is shown as it is
    """A text would take too long to render."""
