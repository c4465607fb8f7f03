"""Where the replicas of one policy at one site run: candidates → choose → explain."""
