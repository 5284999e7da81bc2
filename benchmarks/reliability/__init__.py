"""What is left of a run's records when the server, the run or the sync is killed."""
