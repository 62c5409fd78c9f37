//! Every file in `cases` is one source, what the service file says of it, and the whole plan (or
//! problem) that must come of it. After a wanted change of the plans run with `BLESS=1` and read
//! the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use base::ProcessName;
use proptest::prelude::*;

use super::*;

/// `=== PATH` starts a file, `=== wish` what orlop.yaml says (`recipe: x`, `command: a b`),
/// `=== expect` what must come out.
struct Case {
    text: String,
    files: BTreeMap<String, Entry>,
    wish: Wish,
    expect: String,
}

impl Case {
    fn read(text: &str) -> Self {
        let (source, expect) = text.split_once("=== expect\n").unwrap_or((text, ""));
        let mut case =
            Self { text: source.to_owned(), files: BTreeMap::new(), wish: Wish::default(), expect: expect.to_owned() };
        for part in source.split("=== ").skip(1) {
            let (path, content) = part.split_once('\n').unwrap_or((part, ""));
            if path == "wish" {
                case.wish = wish(content);
            } else {
                let content = content.as_bytes().to_vec();
                let entry = Entry { size: content.len() as u64, executable: false, content: Some(content) };
                case.files.insert(path.to_owned(), entry);
            }
        }
        case
    }

    fn outcome(&self) -> String {
        match detect_for(&Tree::new(self.files.clone()), &self.wish) {
            Ok(plan) => plan.to_string(),
            Err(problem) => {
                let mut text = format!("problem {}\n  {}\n", problem.code, problem.message);
                for (what, value) in [("at", problem.place), ("hint", problem.hint)] {
                    let _ = value.map(|value| writeln!(text, "{what} {value}"));
                }
                text
            }
        }
    }
}

fn wish(text: &str) -> Wish {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    Wish {
        recipe: value("recipe:").map(|name| name.parse().unwrap()),
        command: value("command:").map(|line| line.split(' ').map(str::to_owned).collect()),
    }
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/recipe/cases");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 40, "where are the cases?");
    let mut wrong = String::new();
    for path in paths {
        let case = Case::read(&std::fs::read_to_string(&path).unwrap());
        let outcome = case.outcome();
        if outcome == case.expect {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, format!("{}=== expect\n{outcome}", case.text)).unwrap();
        }
        let _ = writeln!(wrong, "--- {}\nexpected\n{}\ngot\n{outcome}", path.display(), case.expect);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What holds for every plan, whatever the source.
fn check_plan(plan: &Plan) {
    for step in &plan.steps {
        assert!(step.command.iter().all(|word| !word.contains('\0')), "{plan}");
        assert!(step.command.first().is_some_and(|program| plan.tools.contains(program)), "{plan}");
        assert!(!step.command.iter().any(|word| word == "sh" || word == "/bin/sh"), "{plan}");
    }
    for value in plan.env.values().chain(plan.processes.values().flat_map(|runs| runs.env.values())) {
        assert!(
            base::placeholder::names(value).all(|name| name != "PORT"),
            "the port is known to arguments only: {plan}"
        );
    }
    for runs in plan.processes.values() {
        assert_eq!(runs.kind == ProcessKind::Site, runs.command.is_empty(), "{plan}");
    }
    let clean = |text: &String| !text.chars().any(char::is_control) && text.len() < 2000;
    assert!(plan.evidence.iter().all(clean), "{plan}");
    for path in plan.output.expected() {
        assert!(!path.starts_with('/') && !path.split('/').any(|segment| segment == ".."), "{plan}");
    }
    let json = serde_json::to_string(plan).unwrap();
    assert_eq!(&serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

/// What holds for every problem.
fn check_problem(problem: &Problem) {
    assert!(problem.hint.is_some(), "no way out: {problem}");
    assert!(problem.message.len() < 3000 && !problem.to_string().chars().any(char::is_control), "{problem}");
}

fn check_any(files: BTreeMap<String, Entry>, wish: &Wish) {
    match detect_for(&Tree::new(files), wish) {
        Ok(plan) => check_plan(&plan),
        Err(problem) => check_problem(&problem),
    }
}

#[test]
fn every_case_keeps_the_rules() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/recipe/cases");
    for path in std::fs::read_dir(folder).unwrap() {
        let case = Case::read(&std::fs::read_to_string(path.unwrap().path()).unwrap());
        check_any(case.files.clone(), &case.wish);
        for recipe in RecipeName::ALL {
            check_any(case.files.clone(), &Wish { recipe: Some(recipe), command: None });
            check_any(case.files.clone(), &Wish { recipe: Some(recipe), command: Some(vec!["x".to_owned()]) });
        }
    }
}

fn entry(content: impl Into<Vec<u8>>) -> Entry {
    let content = content.into();
    Entry { size: content.len() as u64, executable: false, content: Some(content) }
}

#[test]
fn hostile_files_are_refused_or_read_and_never_more() {
    let deep = |open: &str| open.repeat(250_000 / open.len());
    let texts = [
        String::new(),
        "\0".repeat(1000),
        deep("["),
        deep("{"),
        deep("{\"a\":"),
        format!("{{\"scripts\":{}", deep("{\"start\":")),
        format!("a = {}", deep("[")),
        format!("a = {}", deep("{a=")),
        deep("[a.b]\n"),
        format!("{} = 1", deep("a.").trim_end_matches('.')),
        format!("[{}]", deep("a.").trim_end_matches('.')),
        format!("web: {}", deep("$")),
        format!("web: {}", deep("\"'")),
        deep("w: x\n"),
        deep("module "),
        deep("-r requirements.txt\n"),
        deep("x = Flask(\n"),
        r#"{"scripts":{"start":"npm start"}}"#.to_owned(),
        r#"{"scripts":{"start":"npm run a","a":"npm run b","b":"npm run a"}}"#.to_owned(),
        r#"{"scripts":[],"main":{},"dependencies":7,"engines":[],"name":{},"packageManager":1}"#.to_owned(),
        r#"{"main":"--eval=process.exit()"}"#.to_owned(),
        r#"{"main":"../../etc/x.js","scripts":{"build":"x"}}"#.to_owned(),
        "[package]\nname = \"--config\"".to_owned(),
        "[package]\nname = \"../x\"\n[[bin]]\nname=\"-x\"".to_owned(),
        "[workspace]\nmembers = [\"*\", \"**\", \"../*\"]".to_owned(),
        "[project]\ndependencies = [\"--index-url=x\"]".to_owned(),
    ];
    for text in &texts {
        for name in INTERESTING {
            let mut files = BTreeMap::from([((*name).to_owned(), entry(text.as_bytes()))]);
            check_any(files.clone(), &Wish::default());
            files.insert("src/main.rs".to_owned(), entry(""));
            files.insert("-x/Cargo.toml".to_owned(), entry(text.as_bytes()));
            files.insert("manage.py".to_owned(), entry("x['DJANGO_SETTINGS_MODULE'] = 'a.settings'"));
            files.insert("a/settings.py".to_owned(), entry(text.as_bytes()));
            check_any(files, &Wish::default());
        }
    }
}

/// A file whose content was too large to be loaded is named, not guessed about.
#[test]
fn large_files_are_named() {
    for name in ["Cargo.toml", "package.json", "Procfile", "requirements.txt", "pyproject.toml", "go.mod", "manage.py"]
    {
        let files = BTreeMap::from([(name.to_owned(), Entry { size: 10 << 20, executable: false, content: None })]);
        let problem = detect(&Tree::new(files), None).unwrap_err();
        assert_eq!((&*problem.code, problem.place.as_deref()), ("file-too-large", Some(name)));
    }
}

#[test]
fn a_service_file_has_the_last_word() {
    let files = BTreeMap::from([("Procfile".to_owned(), entry("web: ./a\nworker: ./b"))]);
    let plan = detect(&Tree::new(files), None).unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let plan = plan.with_command(words("./c d")).with_release(words("./migrate"));
    assert_eq!(plan.processes[&ProcessName::web()].command, ["./c", "d"]);
    assert_eq!(plan.processes[&ProcessName::worker()].command, ["./b"]);
    assert_eq!(plan.release, Some(words("./migrate")));

    let site = BTreeMap::from([("index.html".to_owned(), entry("x"))]);
    let site = detect(&Tree::new(site), None).unwrap().with_command(words("python3 -m http.server"));
    assert_eq!(site.processes[&ProcessName::web()].kind, ProcessKind::Web);
    assert_eq!(site.runtime_tools, ["python3"]);

    let only = BTreeMap::from([("main.py".to_owned(), entry("x"))]);
    let only = detect(&Tree::new(only), None).unwrap().into_worker();
    assert_eq!(only.processes.keys().collect::<Vec<_>>(), [&ProcessName::worker()]);
    assert_eq!(only.processes[&ProcessName::worker()].kind, ProcessKind::Worker);

    let none = detect(&Tree::default(), Some(&RecipeName::Command)).unwrap();
    assert_eq!(none.clone().runnable().unwrap_err().code, "nothing-to-run");
    assert!(none.with_command(words("./x")).runnable().is_ok());
}

/// The real sources that are kept beside the project.
#[test]
fn real_inputs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/inputs/workload/heroku");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no folder {}", folder.display());
        return;
    }
    let read = |path: &str| entry(std::fs::read(folder.join(path)).unwrap());
    let python = BTreeMap::from([
        ("Procfile".to_owned(), read("python-getting-started/Procfile")),
        ("app.json".to_owned(), read("python-getting-started/app.json")),
        ("requirements.txt".to_owned(), entry("django>=6.0\ngunicorn\n")),
        ("gettingstarted/wsgi.py".to_owned(), entry("application = get_wsgi_application()")),
    ]);
    let plan = detect(&Tree::new(python.clone()), None).unwrap();
    check_plan(&plan);
    let web = &plan.processes[&ProcessName::web()];
    assert_eq!(web.command, ["gunicorn", "--config", "gunicorn.conf.py", "gettingstarted.wsgi"]);
    assert_eq!(web.env["PATH"], "/app/.orlop/python/bin:${PATH}");
    assert_eq!((plan.recipe, plan.release.is_none()), (RecipeName::Python, true));

    let crates_io = BTreeMap::from([
        ("app.json".to_owned(), read("crates_io/app.json")),
        ("package.json".to_owned(), entry(r#"{"scripts":{"start":"ember serve","build":"ember build"}}"#)),
        ("Cargo.toml".to_owned(), entry("[package]\nname=\"crates_io\"\ndefault-run=\"server\"")),
        ("src/bin/server.rs".to_owned(), entry("")),
        ("src/bin/background-worker.rs".to_owned(), entry("")),
    ]);
    let plan = detect(&Tree::new(crates_io), None).unwrap();
    check_plan(&plan);
    assert_eq!(
        (plan.recipe, &*plan.processes[&ProcessName::web()].command),
        (RecipeName::Rust, &["./server".to_owned()][..])
    );
    assert!(plan.evidence.iter().any(|line| line.contains("`node` fits too")), "{plan}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_content_of_any_file_gives_a_plan_or_a_problem(
        files in prop::collection::btree_map(
            (prop::sample::select(INTERESTING), prop::sample::select(&["", "a/", "src/", "src/bin/", ".cargo/"][..])),
            prop_oneof![
                "\\PC{0,60}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..60),
                prop::sample::select(&[
                    "[package]\nname='x'", "[workspace]\nmembers=['a']", "{\"scripts\":{\"start\":\"$X y\"}}", "web: a\nb: c && d",
                    "app = Flask(__name__)", "gunicorn\nuvicorn", "module x/y", "{\"scripts\":{\"build\":\"vite -o $(x)\"}}",
                ][..]).prop_map(|text| text.as_bytes().to_vec()),
            ],
            0..6,
        ),
        recipe in prop::option::of(prop::sample::select(&RecipeName::ALL[..])),
        command in prop::option::of(prop::collection::vec("[ -~]{0,8}", 1..3)),
    ) {
        let files = files.into_iter().map(|((name, folder), content)| (format!("{folder}{name}"), entry(content))).collect();
        check_any(files, &Wish { recipe, command });
    }
}
