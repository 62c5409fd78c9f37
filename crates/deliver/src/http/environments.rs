use api::Page;
use api::deliver::{Environment, ListEnvironments, PutEnvironment};
use base::{EnvironmentName, Problem, Result};
use facts::EnvironmentState;
use kernel::{Answer, Call, Ctx};

use crate::state;
use crate::work::require_environment;

/// Most environments of an installation.
const ENVIRONMENTS_MAX: usize = 100;

/// The environments in the order of promotion.
pub(crate) async fn list(ctx: Ctx, _call: Call<ListEnvironments>) -> Result<Answer<Page<Environment>>> {
    let names = state::environments(&mut ctx.read().await?).await?;
    Ok(Page::whole(names.into_iter().zip(1..).map(|(environment, order)| Environment { environment, order }).collect())
        .into())
}

/// Adds an environment, or moves it in the order.
pub(crate) async fn put(ctx: Ctx, call: Call<PutEnvironment>) -> Result<Answer<Environment>> {
    let environment = call.path.environment;
    let mut tx = ctx.begin().await?;
    let known = state::environments(&mut tx).await?;
    let names = placed(known, &environment, call.body.after.as_ref())?;
    state::put_environments(&mut tx, &names).await?;
    let told = EnvironmentState { environment: environment.clone(), order: names.clone() };
    ctx.publish(&mut tx, &told).await?;
    let order = names.iter().zip(1..).find(|(name, _)| **name == environment).map_or(1, |(_, order)| order);
    ctx.commit(tx, Environment { environment, order }).await
}

/// The order with one environment at its place.
fn placed(
    known: Vec<EnvironmentName>,
    new: &EnvironmentName,
    after: Option<&EnvironmentName>,
) -> Result<Vec<EnvironmentName>> {
    if after == Some(new) {
        return Err(
            Problem::unprocessable("same-environment", format!("`{new}` cannot come after itself")).at("body.after")
        );
    }
    let mut names: Vec<EnvironmentName> = known.into_iter().filter(|name| name != new).collect();
    let at = match after {
        None => 0,
        Some(after) => {
            require_environment(&names, after)?;
            names.iter().position(|name| name == after).map_or(names.len(), |at| at + 1)
        }
    };
    names.insert(at, new.clone());
    if names.len() > ENVIRONMENTS_MAX {
        return Err(Problem::conflict(
            "too-many-environments",
            format!("there are {ENVIRONMENTS_MAX} environments already"),
        ));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_comes_where_it_is_told() {
        let names = |text: &str| -> Vec<EnvironmentName> { text.split(' ').map(|n| n.parse().unwrap()).collect() };
        let check = |new: &str, after: Option<&str>, expect: &str| {
            let after = after.map(|a| a.parse().unwrap());
            assert_eq!(
                placed(names("dev staging prod"), &new.parse().unwrap(), after.as_ref()).unwrap(),
                names(expect)
            );
        };
        check("qa", Some("dev"), "dev qa staging prod");
        check("qa", None, "qa dev staging prod");
        check("dev", Some("prod"), "staging prod dev");
        check("prod", Some("staging"), "dev staging prod");
        assert_eq!(
            placed(names("dev"), &"qa".parse().unwrap(), Some(&"x".parse().unwrap())).unwrap_err().code,
            "environment-not-found"
        );
        assert!(placed(names("dev"), &"dev".parse().unwrap(), Some(&"dev".parse().unwrap())).is_err());
    }
}
