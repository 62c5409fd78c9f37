//! Every statement that the platform runs in its daily life is answered from an index: what one change
//! or one page costs does not grow with the number of services, releases or years.

use serde_json::json;
use sim::Request;
use store::testing::{plan, statements};

use crate::actions::{REST, create, deploy, held, rollback, rollout, scale, service, set, world_with_first};

/// What reads a whole table, and why it may.
const WHOLE: &[(&str, &str)] = &[
    ("FROM deliver_environment", "an installation has a hundred environments at most"),
    ("FROM store_migration", "read once at the start; one row for each step of the schema"),
    ("FROM store_compatible", "read once at the start; one row for each step that an older version can live with"),
    ("FROM fact_chain", "one row"),
    ("SELECT at FROM fact ORDER BY seq DESC LIMIT 1", "the newest alone, from the end of the index"),
    ("FROM deliver_landing ORDER BY created", "pushes that are under way; read once at the start"),
    ("FROM access_person WHERE removed IS NULL AND admin = 1", "asked at the start and when an admin goes"),
    ("FROM fact f WHERE NOT EXISTS", "checking the whole log is what a person asked for"),
    ("FROM fact_head h WHERE NOT EXISTS", "checking the whole log is what a person asked for"),
    (
        "FROM deliver_build b WHERE b.log_saved = 1",
        "the garbage collection looks at every log that is kept, once an hour",
    ),
    ("SELECT id, rollout, process, state FROM run_instance", "asked by these tests"),
    ("FROM deliver_current WHERE stopped = 0", "asked by these tests"),
    ("SELECT task FROM deliver_build WHERE task IS NOT NULL", "asked by these tests"),
    ("DELETE FROM access_code", "codes that nobody used within minutes"),
    ("FROM deliver_artifact", "the garbage collection looks at everything that is kept, once an hour"),
    ("FROM deliver_blob", "the garbage collection looks at everything that is kept, once an hour"),
    ("FROM deliver_source", "the garbage collection looks at everything that is kept, once an hour"),
    ("content FROM route_route WHERE content IS NOT NULL", "the whole table of routes, for a gateway that has another"),
];

/// A small index over just the rows that are meant is no whole table.
const SMALL: &[&str] = &[
    "USING INDEX deliver_rollout_open",
    "USING COVERING INDEX deliver_rollout_open",
    "USING INDEX deliver_build_task_kept",
];

#[tokio::test]
async fn no_daily_question_reads_a_whole_table() {
    let mut world = world_with_first(50).await;
    create(&mut world, "cart").await.expect("a service can be made");
    deploy(&mut world, "web: sim ready=100").await.expect("an upload is taken");
    world.come_to_rest(REST).await;
    world.call(rollout(json!({ "environment": "staging", "from": "dev" }))).await.expect("it can be promoted");
    world.call(scale(2)).await.expect("it can be scaled");
    world.call(set("COLOUR", "red")).await.expect("a setting can be set");
    world.come_to_rest(REST).await;
    world.call(rollback()).await.expect("there is something to go back to");
    world.come_to_rest(REST).await;
    world.call(service("removeService")).await.expect("it can be removed");
    world.come_to_rest(REST).await;
    world.call(service("restoreService")).await.expect("it can be restored");
    world.come_to_rest(REST).await;
    held(&world, "a daily life");
    for list in ["listServices", "listStatus", "listTeams", "listPeople", "listTokens", "listAudit", "listEnvironments"]
    {
        world.call(Request::to(list).reads()).await.expect("a list can be read");
    }
    for query in ["team=main", "search=x"] {
        world.call(Request::to("listServices").query(query).reads()).await.expect("a list can be searched");
    }
    let lists = ["getStatus", "whyService", "getBoard", "listInstances", "listRoutes", "listReleases", "listBuilds"];
    for list in lists.into_iter().chain(["listRollouts", "listSettings", "listActivity", "getService", "getTraffic"]) {
        world.call(Request::about(list, "shop").reads()).await.expect("a list can be read");
    }
    let mut bad = Vec::new();
    let all = statements();
    for sql in &all {
        let is_question = ["SELECT", "UPDATE", "DELETE", "INSERT"].iter().any(|verb| sql.starts_with(verb));
        if !is_question || WHOLE.iter().any(|(part, _)| sql.contains(part)) {
            continue;
        }
        let steps = plan(world.store(), sql).await.unwrap_or_else(|problem| panic!("{sql}: {problem}"));
        let reads_all = |step: &String| step.starts_with("SCAN") && !SMALL.iter().any(|index| step.contains(index));
        if steps.iter().any(reads_all) {
            bad.push(format!("{sql}\n    {steps:?}"));
        }
    }
    assert!(all.len() > 60, "only {} statements were run", all.len());
    assert!(bad.is_empty(), "of {} statements these read a whole table:\n  {}", all.len(), bad.join("\n  "));
}
