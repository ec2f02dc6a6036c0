"""`hpobench reference`: how the hyperparameters that regret is measured from are found."""
