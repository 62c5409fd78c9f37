CREATE INDEX deliver_rollout_open_service ON deliver_rollout (service, id) WHERE ended IS NULL;
CREATE INDEX deliver_rollout_release ON deliver_rollout (release_id);
CREATE INDEX deliver_current_rollout ON deliver_current (rollout);
CREATE INDEX deliver_release_source ON deliver_release (source);
CREATE INDEX deliver_release_artifact ON deliver_release (artifact);
CREATE INDEX deliver_build_task_kept ON deliver_build (id) WHERE task_kept = 1 AND ended IS NOT NULL;
