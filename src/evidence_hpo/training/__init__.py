"""Training runs: the loop, losses, optimisers, schedules, precision, resume points, prediction."""
