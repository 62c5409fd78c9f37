//! The story: team, service, three pushes, a rollback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use api::Nothing;
use api::access::{CreateTeam, NewTeam, ServicePath, SignIn, SignInCode, TeamPath};
use api::catalog::{CreateService, NewService, RenderTemplate, TemplateInputs, TemplatePath};
use api::deliver::{GetRollout, NewRollout, Rollout, RolloutPath, RolloutState, StartRollout};
use base::{EnvironmentName, HostName, Problem, Result, Secret, ServiceName};
use cli::client::Client;

use crate::git::git;
use crate::report::Report;
use crate::visitor::{Visitor, ask};

/// Everybody in this story.
const SERVICE: &str = "hello";
const TEAM: &str = "demo";
/// The text that tells the versions apart, as the template has it.
const GREETING: &str = "from {SERVICE}";
/// A rollout that people wait for is over within this span.
const ROLLOUT_ENDS: Duration = Duration::from_secs(90);

/// Where the story is told.
pub struct Place {
    /// Address of the API.
    pub url: String,
    /// A one-time code of a platform admin.
    pub code: String,
    /// Address of the gateway.
    pub gateway: SocketAddr,
    /// The domain of services' host names.
    pub domain: HostName,
    /// A folder for the service's code.
    pub folder: PathBuf,
}

/// Tells the story on a platform that `start` starts. Returns what people can try next.
pub async fn play(report: &Report, start: impl Future<Output = Result<Place>>) -> Result<String> {
    let mut stage = None;
    let set = async {
        let place = start.await?;
        let seen = format!("API {}, services {}", place.url, place.gateway);
        stage = Some(Stage::set(place).await?);
        Ok(seen)
    };
    report.step("Start a platform in a temporary folder", set).await?;
    let stage = stage.ok_or_else(|| Problem::internal("no-stage", "the platform started and is not there"))?;
    stage.play(report).await?;
    Ok(stage.invitation())
}

/// The platform of the story and what it takes to use it.
struct Stage {
    client: Client,
    url: String,
    token: String,
    gateway: SocketAddr,
    host: String,
    code: PathBuf,
}

impl Stage {
    async fn set(place: Place) -> Result<Self> {
        let token = sign_in(&place.url, place.code).await?;
        Ok(Self {
            client: client(&place.url, Some(&token))?,
            url: place.url,
            token,
            gateway: place.gateway,
            host: HostName::of_service(&service()?, &EnvironmentName::dev(), &place.domain).to_string(),
            code: place.folder.join(SERVICE),
        })
    }

    async fn play(&self, report: &Report) -> Result<()> {
        report.step("Create a team", self.create_team()).await?;
        report.step("Make a service from the template `web`", self.create_service()).await?;
        report.step("Push the first version with git", self.push_first()).await?;
        let visitor = Visitor::begin(self.gateway, self.host.clone())?;
        report.step("Push a second version while a visitor keeps asking", self.push_second()).await?;
        report.step("Push a third version that is broken", self.push_broken()).await?;
        report.step("Roll back to the first version", self.roll_back()).await?;
        report.step("Ask the visitor", async { self.ask_visitor(&visitor) }).await?;
        Ok(())
    }

    async fn create_team(&self) -> Result<String> {
        let team = self.client.send::<CreateTeam>(&Nothing {}, &NewTeam { team: name(TEAM)? }).await?;
        Ok(format!("team `{}`", team.team))
    }

    async fn create_service(&self) -> Result<String> {
        let path = TeamPath { team: name(TEAM)? };
        self.client
            .send::<CreateService>(&path, &NewService { service: service()?, description: "Says hello".into() })
            .await?;
        let template = TemplatePath { template: name("web")? };
        let files = self.client.send::<RenderTemplate>(&template, &TemplateInputs { service: service()? }).await?.files;
        for file in &files {
            let path = self.code.join(&file.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(disk)?;
            }
            std::fs::write(&path, &file.content).map_err(disk)?;
        }
        self.run_git(&["init", "--quiet", "--initial-branch=main"])?;
        self.commit("Begin with the template")?;
        Ok(format!("{} files in {}", files.len(), self.code.display()))
    }

    async fn push_first(&self) -> Result<String> {
        let told = self.push(true)?;
        self.expect("Hello from").await?;
        Ok(told)
    }

    async fn push_second(&self) -> Result<String> {
        self.edit("src/pages.rs", GREETING, "again, from {SERVICE}")?;
        self.commit("Greet again")?;
        let told = self.push(true)?;
        self.expect("Hello again, from").await?;
        Ok(told)
    }

    /// The third version ends before it listens: it must never get a request.
    async fn push_broken(&self) -> Result<String> {
        self.edit("src/main.rs", "    stop::listen();\n", "    stop::listen();\n    panic!(\"a bug that only shows when it runs\");\n    #[allow(unreachable_code)]\n")?;
        self.commit("Break it")?;
        let told = self.push(false)?;
        let serving = self.expect("Hello again, from").await?;
        Ok(format!("{told}\nthe second version serves still: {serving}"))
    }

    async fn roll_back(&self) -> Result<String> {
        let path = ServicePath { service: service()? };
        let wish = NewRollout {
            environment: EnvironmentName::dev(),
            release: Some(1),
            from: None,
            rollback: true,
            restart: false,
            reason: Some("the demonstration shows how to take it back".into()),
        };
        let rollout = self.client.send::<StartRollout>(&path, &wish).await?;
        let rollout = self.until_final(rollout).await?;
        if rollout.state != RolloutState::Succeeded {
            return Err(Problem::internal("rollback-failed", rollout.reason));
        }
        let serving = self.expect("Hello from").await?;
        Ok(format!("{}\nno build, no clone: the kept release got the traffic back\n{serving}", rollout.reason))
    }

    async fn until_final(&self, mut rollout: Rollout) -> Result<Rollout> {
        let path = RolloutPath { service: service()?, rollout: rollout.rollout };
        let begun = tokio::time::Instant::now();
        while rollout.ended.is_none() {
            if begun.elapsed() > ROLLOUT_ENDS {
                return Err(Problem::timeout("rollout-unfinished", rollout.reason));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            rollout = self.client.get::<GetRollout>(&path).await?;
        }
        Ok(rollout)
    }

    fn ask_visitor(&self, visitor: &Visitor) -> Result<String> {
        let notes = visitor.notes();
        let text = format!(
            "{} requests during two rollouts, a broken one and a rollback: {} failed",
            notes.answered + notes.failed,
            notes.failed
        );
        if notes.failed > 0 {
            return Err(Problem::internal("visitor-unhappy", format!("{text}; the first: {}", notes.failure)));
        }
        Ok(text)
    }

    /// Pushes with git and checks that the outcome is the one that the story wants.
    fn push(&self, good: bool) -> Result<String> {
        let remote = self.url.replacen("http://", &format!("http://demo:{}@", self.token), 1);
        let remote = format!("{remote}/git/{SERVICE}.git");
        let output = git(&self.code, ["push", "--quiet", &remote, "HEAD:refs/heads/main"]).map_err(no_git)?;
        let told = String::from_utf8_lossy(&output.stderr).replace(&self.token, "…");
        let lines: Vec<&str> = told
            .lines()
            .filter_map(|l| l.strip_prefix("remote: "))
            .map(str::trim_end)
            .filter(|l| !l.is_empty())
            .collect();
        let deployed = lines.iter().any(|l| l.contains("http://") && l.contains(SERVICE)) && output.status.success();
        let failed = lines.iter().any(|l| l.to_lowercase().contains("failed"));
        if good && (failed || !deployed) || !good && !failed {
            return Err(Problem::internal("push-outcome", format!("the push went otherwise than it should:\n{told}")));
        }
        Ok(lines.join("\n"))
    }

    /// The newest answer of the service, once it holds this text.
    async fn expect(&self, text: &str) -> Result<String> {
        let answer = ask(self.gateway, &self.host).await?;
        if answer.status != 200 || !answer.body.contains(text) {
            return Err(Problem::internal("unexpected-answer", format!("status {}, and not `{text}`", answer.status)));
        }
        Ok(format!("http://{} answers 200 with `{text} {SERVICE}` (release {})", self.host, answer.release))
    }

    fn edit(&self, file: &str, old: &str, new: &str) -> Result<()> {
        let path = self.code.join(file);
        let text = std::fs::read_to_string(&path).map_err(disk)?;
        if !text.contains(old) {
            return Err(Problem::internal("template-changed", format!("{file} of the template has no `{old}`")));
        }
        std::fs::write(&path, text.replacen(old, new, 1)).map_err(disk)
    }

    fn commit(&self, message: &str) -> Result<()> {
        self.run_git(&["add", "--all"])?;
        self.run_git(&["commit", "--quiet", "--message", message])
    }

    fn run_git(&self, args: &[&str]) -> Result<()> {
        let output = git(&self.code, args).map_err(no_git)?;
        match output.status.success() {
            true => Ok(()),
            false => Err(Problem::internal("git-failed", String::from_utf8_lossy(&output.stderr).trim())),
        }
    }

    fn invitation(&self) -> String {
        format!(
            "\nThe platform runs on until Ctrl-C. Try in another terminal:\n\
             \x20 export ORLOP_URL={} ORLOP_TOKEN={}\n\
             \x20 curl http://{}:{}/        the service (or open it in a browser)\n\
             \x20 orlop status {SERVICE}\n\
             \x20 orlop logs --service {SERVICE} --follow\n\
             \x20 orlop releases --service {SERVICE}\n\
             \x20 orlop promote --service {SERVICE} --to staging\n\
             \x20 cd {} and change something, then: git push http://demo:$ORLOP_TOKEN@{}/git/{SERVICE}.git HEAD:main",
            self.url,
            self.token,
            self.host,
            self.gateway.port(),
            self.code.display(),
            self.url.trim_start_matches("http://"),
        )
    }
}

fn client(url: &str, token: Option<&str>) -> Result<Client> {
    let url = reqwest::Url::parse(url).map_err(|e| Problem::internal("own-url", e))?;
    Client::new(&url, token.map(|t| Secret::new(t.to_owned())), &cli::System::new())
}

async fn sign_in(url: &str, code: String) -> Result<String> {
    let body = SignInCode { code, name: Some("demo".into()), session: false };
    Ok(client(url, None)?.send::<SignIn>(&Nothing {}, &body).await?.secret)
}

fn service() -> Result<ServiceName> {
    name(SERVICE)
}

fn name<T: std::str::FromStr<Err = base::BadName>>(text: &str) -> Result<T> {
    text.parse().map_err(Problem::from)
}

fn disk(error: std::io::Error) -> Problem {
    Problem::unavailable("disk", format!("the demonstration's folder cannot be used: {error}"))
}

fn no_git(error: std::io::Error) -> Problem {
    Problem::unavailable("no-git", format!("git cannot be run: {error}"))
        .hint("install git; the demonstration pushes with the real one")
}
