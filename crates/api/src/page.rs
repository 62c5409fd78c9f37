use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Ref, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `after` to get the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PageQuery {
    /// Items a page, 1–500; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl PageQuery {
    /// The page size within its bounds.
    pub fn size(&self) -> u32 {
        self.limit.unwrap_or(base::limits::PAGE_ITEMS_DEFAULT).clamp(1, base::limits::PAGE_ITEMS_MAX)
    }
}

/// The cursor of the page behind these rows: where as many came as were asked for, there may be more.
pub fn next_page<R>(rows: &[R], size: u32, cursor: impl FnOnce(&R) -> String) -> Option<String> {
    let is_full = rows.len() >= usize::try_from(size).unwrap_or(usize::MAX);
    rows.last().filter(|_| is_full).map(cursor)
}

impl<T> Page<T> {
    /// The page that rows make which were asked for behind a cursor, at most `size` of them. What
    /// somebody may not see is left out of the items and counts towards the size all the same.
    pub fn of_rows<R>(
        rows: Vec<R>,
        size: u32,
        cursor: impl FnOnce(&R) -> String,
        item: impl FnMut(R) -> Option<T>,
    ) -> Self {
        let next = next_page(&rows, size, cursor);
        Self { items: rows.into_iter().filter_map(item).collect(), next }
    }

    /// A list that fits on one page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

// By hand: the derived form neither names the argument nor brings its schema along.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let item = Ref::from_schema_name(T::name());
        ObjectBuilder::new()
            .description(Some("One page of a list."))
            .property("items", ArrayBuilder::new().items(item))
            .required("items")
            .property(
                "next",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some("Pass it as `after` to get the next page; absent on the last one.")),
            )
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("PageOf{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_leads_to_the_next_and_what_is_hidden_does_not_end_the_list() {
        let page = |size| Page::of_rows(vec![1, 2, 3], size, u32::to_string, |row| (row != 2).then_some(row));
        assert_eq!(page(3), Page { items: vec![1, 3], next: Some("3".to_owned()) });
        assert_eq!(page(4), Page { items: vec![1, 3], next: None });
        assert_eq!(next_page::<u32>(&[], 1, u32::to_string), None);
    }
}
