-- The rollouts that ran a release command, of all services, newest first.
CREATE INDEX deliver_rollout_step_releasing ON deliver_rollout_step (rollout) WHERE state = 'releasing';
