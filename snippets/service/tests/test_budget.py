from assistant.budget import RetryBudget


def spend(budget: RetryBudget) -> int:
    """Return how many retries it gives one after the other."""
    given = 0
    while given < 100 and budget.withdraw():
        given += 1
    return given


def test_a_good_day_saves_no_more_than_the_reserve() -> None:
    budget = RetryBudget(share=0.2, reserve=5)
    for _ in range(1000):
        budget.deposit()
    assert spend(budget) == 5


def test_when_everything_fails_a_fifth_is_repeated() -> None:
    budget = RetryBudget(share=0.2, reserve=5)
    spend(budget)
    retries = 0
    for _ in range(100):
        budget.deposit()
        retries += budget.withdraw()
    assert 19 <= retries <= 20
