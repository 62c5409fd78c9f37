//! The control plane dies at every effect that the platform's source holds. Which effects there are
//! is read from the source; that stories visit all of them is a part of the test.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sim::{Photo, Point};

use crate::actions::{held, on_every_core};
use crate::report::{Part, record};
use crate::sites::{self, Site};
use crate::stories::{STORIES, Story};

/// Before the effect, and when it is done.
type Visit = (Site, bool);

/// A death to try: in which story, from which beginning, at which point.
struct Trial {
    story: Story,
    photo: Arc<Option<Photo>>,
    point: Point,
    place: String,
}

/// `SIM_STORY="push"` tells one story only, and does not ask whether every effect was visited.
#[test]
fn every_effect_is_visited_and_death_there_breaks_no_promise() {
    let all = Arc::new(sites::all());
    assert!(all.len() > 50, "the source holds more effects than {}", all.len());
    let only = std::env::var("SIM_STORY").ok();
    let stories = STORIES.into_iter().filter(|story| only.as_deref().is_none_or(|only| only == story.name()));
    let told = Mutex::new(Vec::new());
    on_every_core(stories.collect(), async |story: Story| {
        let one = tell(story).await;
        told.lock().expect("no story panics while it is added").push(one);
    });
    let mut told = told.into_inner().expect("every story was told");
    told.sort_by_key(|(story, ..)| *story as u8);
    let mut part = Part::default();
    let (mut seen, mut trials, mut nameless) = (BTreeSet::<Visit>::new(), Vec::new(), BTreeSet::<Point>::new());
    for (story, photo, trail, mine) in told {
        part.join(mine);
        let before = trials.len();
        for point in &trail {
            match sites::site_of(&all, point) {
                Some(site) if seen.insert((site.clone(), point.kind.ends_with(", done"))) => {
                    let place = format!("{site}{}", if point.kind.ends_with(", done") { ", done" } else { "" });
                    trials.push(Trial { story, photo: Arc::clone(&photo), point: point.clone(), place });
                }
                // What a test does itself has no place in the platform.
                None if point.place.is_some() => drop(nameless.insert(point.clone())),
                _ => {}
            }
        }
        println!("{}: {} points, {} of them at new places", story.name(), trail.len(), trials.len() - before);
    }
    let deaths = trials.len();
    let parts = Mutex::new(part);
    on_every_core(trials, async |trial: Trial| {
        let mine = die(&trial).await;
        parts.lock().expect("no trial panics while it is added").join(mine);
    });
    record("every effect", parts.into_inner().expect("every trial ended"));
    assert!(nameless.is_empty(), "effects that the source does not show as such: {nameless:#?}");
    if only.is_none() {
        judge(&all, &seen);
    }
    println!("{} effects in the source; the control plane died before and after each: {deaths} deaths", all.len());
}

/// Tells a story without a death, and notes the points that it comes to.
async fn tell(story: Story) -> (Story, Arc<Option<Photo>>, Vec<Point>, Part) {
    let photo = match story.begin().await {
        Some(mut world) => Some(world.photograph().await),
        None => None,
    };
    let mut world = story.world(photo.as_ref()).await;
    world.gate.follow();
    story.act(&mut world).await;
    let mut part = Part::default();
    part.add(&world);
    held(&world, story.name());
    (story, Arc::new(photo), world.gate.trail(), part)
}

/// Tells it again with a death in one place.
async fn die(trial: &Trial) -> Part {
    let Trial { story, photo, point, place } = trial;
    let mut world = story.world(Option::as_ref(photo)).await;
    world.gate.kill_in(point.clone());
    story.act(&mut world).await;
    let mut part = Part::default();
    part.add(&world);
    held(&world, &format!("{}, killed at {place}", story.name()));
    assert_eq!(world.gate.struck().as_ref(), Some(point), "{}: it was to die at {place}", story.name());
    part.places.insert(place.clone(), 1);
    part
}

/// Every effect was visited, before and after, or nobody can come there.
fn judge(all: &[Site], seen: &BTreeSet<Visit>) {
    let mut missing = Vec::new();
    let mut surprising = Vec::new();
    for site in all {
        let visited = [false, true].iter().all(|done| seen.contains(&(site.clone(), *done)));
        match (visited, site.unreached()) {
            (false, None) => missing.push(site.to_string()),
            (true, Some(why)) => surprising.push(format!("{site}: {why}")),
            _ => {}
        }
    }
    assert!(missing.is_empty(), "no story comes to these effects: write one in stories.rs\n  {}", missing.join("\n  "));
    assert!(surprising.is_empty(), "a story comes where none could: {surprising:#?}");
}

#[test]
#[should_panic(expected = "no story comes to these effects")]
fn an_effect_that_no_story_visits_is_noticed() {
    let all = sites::effects("run/src/work/new.rs", "async fn quiet() {\n    tx.commit().await\n}\n");
    let before = all.iter().map(|site| (site.clone(), false)).collect();
    judge(&all, &before);
}
