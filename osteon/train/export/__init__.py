"""From a run to a model folder, whatever the objective: networks as shipped, what they were measured to be worth."""
