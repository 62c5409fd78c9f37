use api::{Page, PageQuery};
use base::{Problem, Result};

/// One page of a list that is read whole because it is short. `mark` names an item.
pub(crate) fn cut<T>(all: Vec<T>, query: &PageQuery, mark: impl Fn(&T) -> String) -> Result<Page<T>> {
    let begin = match &query.after {
        None => 0,
        Some(after) => {
            all.iter().position(|item| mark(item) == *after).map(|at| at.saturating_add(1)).ok_or_else(|| {
                Problem::unprocessable("bad-cursor", "`after` is not the `next` of a page").at("query.after")
            })?
        }
    };
    let size = usize::try_from(query.size()).unwrap_or(usize::MAX);
    let is_last = all.len() <= begin.saturating_add(size);
    let items: Vec<T> = all.into_iter().skip(begin).take(size).collect();
    let next = if is_last { None } else { items.last().map(mark) };
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: u32, after: Option<&str>, expect: Option<(&[u32], Option<&str>)>) {
        let query = PageQuery { limit: Some(limit), after: after.map(str::to_owned) };
        let page = cut(vec![1, 2, 3], &query, u32::to_string).ok();
        let expect = expect.map(|(items, next)| Page { items: items.to_vec(), next: next.map(str::to_owned) });
        assert_eq!(page, expect, "{query:?}");
    }

    #[test]
    fn pages() {
        check(2, None, Some((&[1, 2], Some("2"))));
        check(2, Some("2"), Some((&[3], None)));
        check(3, None, Some((&[1, 2, 3], None)));
        check(1, Some("3"), Some((&[], None)));
        check(1, Some("4"), None);
    }
}
