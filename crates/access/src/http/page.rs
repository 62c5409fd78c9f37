use std::fmt::Display;
use std::str::FromStr;

use api::{Page, PageQuery};
use base::{Problem, Result};

/// One page of a list that is read whole because it is short, in the order in which it is. `key` is
/// what the list is ordered by, each key once, and `is_behind(a, b)` whether `a` comes after `b`. A
/// cursor is a place in that order: it goes on from there also when its own item is gone.
pub(crate) fn cut<T, K: Display + FromStr>(
    all: Vec<T>,
    query: &PageQuery,
    key: impl Fn(&T) -> K,
    is_behind: impl Fn(&K, &K) -> bool,
) -> Result<Page<T>> {
    let bad = |_| Problem::unprocessable("bad-cursor", "`after` is not the `next` of a page").at("query.after");
    let place = query.after.as_deref().map(str::parse::<K>).transpose().map_err(bad)?;
    let size = usize::try_from(query.size()).unwrap_or(usize::MAX);
    let mut items: Vec<T> =
        all.into_iter().filter(|item| place.as_ref().is_none_or(|place| is_behind(&key(item), place))).collect();
    let is_more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| is_more).map(|item| key(item).to_string());
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(all: &[u32], limit: u32, after: Option<&str>, expect: Option<(&[u32], Option<&str>)>) {
        let query = PageQuery { limit: Some(limit), after: after.map(str::to_owned) };
        let is_behind = if all.is_sorted() { u32::gt } else { u32::lt };
        let page = cut(all.to_vec(), &query, |item| *item, is_behind).ok();
        let expect = expect.map(|(items, next)| Page { items: items.to_vec(), next: next.map(str::to_owned) });
        assert_eq!(page, expect, "{all:?} {query:?}");
    }

    #[test]
    fn pages() {
        let all = &[1, 2, 3];
        check(all, 2, None, Some((&[1, 2], Some("2"))));
        check(all, 2, Some("2"), Some((&[3], None)));
        check(all, 3, None, Some((&[1, 2, 3], None)));
        check(all, 1, Some("3"), Some((&[], None)));
        check(all, 1, Some("no number"), None);
    }

    #[test]
    fn a_cursor_whose_item_was_removed_goes_on_where_it_stood() {
        check(&[1, 3, 4], 1, Some("2"), Some((&[3], Some("3"))));
        check(&[1], 1, Some("2"), Some((&[], None)));
        check(&[4, 3, 1], 1, Some("2"), Some((&[1], None)));
        check(&[4, 3, 1], 2, Some("5"), Some((&[4, 3], Some("3"))));
    }
}
