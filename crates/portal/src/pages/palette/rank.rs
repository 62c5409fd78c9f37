//! What fits a question best. Pure.

/// Something that can be gone to or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    title: String,
    about: String,
    kind: &'static str,
    path: String,
    /// Other words under which it is looked for.
    also: &'static str,
    /// Among those that fit alike, the larger comes first.
    weight: usize,
}

/// Something that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub title: String,
    pub about: String,
    /// `page`, `service`, `team`, `action`, `help`.
    pub kind: &'static str,
    pub path: String,
    pub score: usize,
}

impl Hit {
    /// What stands beside its title.
    pub(super) fn told(&self) -> crate::components::Text {
        crate::components::Text::from(self.about.clone())
    }
}

/// What can be looked at or done with a service: the word, the title, the page, and what it takes.
struct Verb {
    word: &'static str,
    title: &'static str,
    path: &'static str,
    needs: Needs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Read,
    Deploy,
    Configure,
}

const fn see(word: &'static str, title: &'static str, path: &'static str) -> Verb {
    Verb { word, title, path, needs: Needs::Read }
}

const VERBS: [Verb; 13] = [
    see("logs", "Logs of {}", "/services/{}/logs"),
    see("metrics", "Metrics of {}", "/services/{}/metrics"),
    see("releases", "Releases of {}", "/services/{}/releases"),
    see("rollouts", "Rollouts of {}", "/services/{}/rollouts"),
    see("runs", "Runs of {}", "/services/{}/runs"),
    see("activity", "What happened to {}", "/services/{}/activity"),
    see("access", "Who may do what with {}", "/services/{}/access"),
    see("why", "Why {} is as it is", "/why/{}"),
    see("impact", "What breaks without {}", "/topology/{}"),
    Verb { needs: Needs::Configure, ..see("settings", "Settings of {}", "/services/{}/settings") },
    Verb { needs: Needs::Deploy, ..see("rollback", "Roll {} back", "/services/{}/rollouts/plan?rollback=true") },
    Verb { needs: Needs::Deploy, ..see("promote", "Promote {}", "/environments/compare?service={}") },
    Verb { needs: Needs::Deploy, ..see("restart", "Restart {}", "/services/{}/rollouts/plan?restart=true") },
];

/// A question of the form `logs shop` or `shop logs` names something to do, and to what.
pub(super) fn verb(q: &str) -> (Option<&'static str>, &str) {
    let q = q.trim();
    let find = |word: &str| {
        VERBS.iter().find(|verb| word.len() >= 3 && verb.word.starts_with(&word.to_lowercase())).map(|v| v.word)
    };
    let (first, rest) = q.split_once(char::is_whitespace).unwrap_or((q, ""));
    if let Some(verb) = find(first) {
        return (Some(verb), rest.trim());
    }
    let (before, last) = q.rsplit_once(char::is_whitespace).unwrap_or(("", q));
    match find(last).filter(|_| !before.is_empty()) {
        Some(verb) => (Some(verb), before.trim()),
        None => (None, q),
    }
}

/// Pages that the menu does not name.
pub(super) fn more_pages() -> Vec<Place> {
    [
        ("Begin: a service from a template", "/start", "new first template start"),
        ("Compare two environments", "/environments/compare", "promote promotion difference diff"),
        ("The service file", "/help/service-file", "orlop.yaml manifest keys"),
        ("Errors", "/help/errors", "codes problems"),
        ("The API", "/help/api", "endpoints openapi"),
        ("Style", "/style", "components"),
    ]
    .into_iter()
    .map(|(title, path, also)| Place { also, ..Place::page(title, path) })
    .collect()
}

impl Place {
    pub(super) fn page(title: &str, path: &str) -> Self {
        Self { title: title.to_owned(), about: String::new(), kind: "page", path: path.to_owned(), also: "", weight: 2 }
    }

    pub(super) fn team(name: &str) -> Self {
        Self { kind: "team", weight: 1, ..Self::page(name, &format!("/teams/{name}")) }
    }

    /// A service, and what the reader can do with it: all of it where they named nothing else.
    pub(super) fn service(
        name: &str,
        description: &str,
        may_deploy: bool,
        may_configure: bool,
        verb: Option<&'static str>,
    ) -> Vec<Self> {
        let own = Self {
            about: description.to_owned(),
            kind: "service",
            weight: 3,
            ..Self::page(name, &format!("/services/{name}"))
        };
        let may = |needs: Needs| match needs {
            Needs::Read => true,
            Needs::Deploy => may_deploy,
            Needs::Configure => may_configure,
        };
        let actions =
            VERBS.iter().filter(|one| verb.is_none_or(|verb| one.word == verb) && may(one.needs)).map(|one| Self {
                about: format!("{} {name}", one.word),
                kind: "action",
                weight: if verb.is_some() { 4 } else { 0 },
                ..Self::page(&one.title.replace("{}", name), &one.path.replace("{}", name))
            });
        std::iter::once(own).chain(actions).collect()
    }
}

/// The places that fit a question, the best first. An empty one is fitted by pages alone.
pub(super) fn rank(q: &str, places: Vec<Place>, most: usize) -> Vec<Hit> {
    let words: Vec<String> = q.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let mut hits: Vec<Hit> = places
        .into_iter()
        .filter_map(|place| {
            let score = match words.is_empty() {
                true => (place.kind == "page").then_some(0)?,
                false => fits(&words, &place)?,
            };
            let score = score.saturating_mul(8).saturating_add(place.weight);
            Some(Hit { title: place.title, about: place.about, kind: place.kind, path: place.path, score })
        })
        .collect();
    if !words.is_empty() {
        hits.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.title.cmp(&b.title)));
    }
    hits.truncate(most);
    hits
}

/// How well all the words fit; nothing where one of them does not.
fn fits(words: &[String], place: &Place) -> Option<usize> {
    let title = place.title.to_lowercase();
    let rest = format!("{} {}", place.about.to_lowercase(), place.also);
    words.iter().try_fold(0_usize, |sum, word| Some(sum.saturating_add(fit(word, &title, &rest)?)))
}

fn fit(word: &str, title: &str, rest: &str) -> Option<usize> {
    let starts = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|part| part.starts_with(word));
    Some(match () {
        () if title == word => 100,
        () if title.starts_with(word) => 60,
        () if starts(title) => 40,
        () if title.contains(word) => 25,
        () if starts(rest) => 15,
        () if word.chars().count() >= 3 && in_order(word, title) => 6,
        () => return None,
    })
}

/// Whether the letters of a word stand in a text in their order: `chk` in `checkout`.
fn in_order(word: &str, text: &str) -> bool {
    let mut letters = text.chars();
    word.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(q: &str) -> Vec<String> {
        let (verb, _) = verb(q);
        let mut places =
            vec![Place::page("Home", "/"), Place::page("Services", "/services"), Place::page("Runs", "/runs")];
        places.extend(more_pages());
        places.extend(Place::service("checkout", "takes the money", true, true, verb));
        places.extend(Place::service("checkin", "for hotels", false, false, verb));
        places.push(Place::team("payments"));
        rank(q, places, 50).into_iter().map(|hit| hit.path).collect()
    }

    #[test]
    fn what_is_meant_comes_first() {
        assert_eq!(asked("checkout")[0], "/services/checkout");
        assert_eq!(asked("logs checkout")[0], "/services/checkout/logs");
        assert_eq!(asked("checkout logs")[0], "/services/checkout/logs");
        assert_eq!(asked("chkt")[0], "/services/checkout");
        assert_eq!(asked("money")[0], "/services/checkout");
        assert_eq!(asked("pay")[0], "/teams/payments");
        assert_eq!(asked("home")[0], "/");
        assert_eq!(asked("promote checkout")[0], "/environments/compare?service=checkout");
        assert_eq!(asked("template")[0], "/start");
    }

    #[test]
    fn an_empty_question_shows_the_pages_and_nonsense_nothing() {
        assert_eq!(asked("")[..2], ["/", "/services"]);
        assert!(asked("zzqq").is_empty());
    }

    #[test]
    fn what_would_be_refused_is_not_offered() {
        let paths = asked("rollback checkin");
        let way_back = |service: &str| format!("/services/{service}/rollouts/plan?rollback=true");
        assert!(!paths.contains(&way_back("checkin")), "{paths:?}");
        assert!(asked("rollback checkout").contains(&way_back("checkout")));
        assert!(asked("settings checkin").iter().all(|path| path != "/services/checkin/settings"));
    }

    #[test]
    fn a_verb_is_read_at_either_end() {
        assert_eq!(verb("logs shop"), (Some("logs"), "shop"));
        assert_eq!(verb("shop roll"), (Some("rollouts"), "shop"));
        assert_eq!(verb("shop"), (None, "shop"));
        assert_eq!(verb("lo shop"), (None, "lo shop"));
        assert_eq!(verb(""), (None, ""));
    }
}
