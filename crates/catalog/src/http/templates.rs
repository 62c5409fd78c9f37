use api::Page;
use api::catalog::{ListTemplates, RenderTemplate, Template, TemplateFiles};
use base::Result;
use kernel::{Answer, Call, Ctx};

use crate::model::template;

/// The built-in templates.
pub(crate) async fn list(_: Ctx, _: Call<ListTemplates>) -> Result<Answer<Page<Template>>> {
    let items: Result<Vec<Template>> = template::templates().iter().map(template::TemplateSource::listed).collect();
    Ok(Page::whole(items?).into())
}

/// The files of a new service.
pub(crate) async fn render(_: Ctx, call: Call<RenderTemplate>) -> Result<Answer<TemplateFiles>> {
    let files = template::render(&call.path.template, &call.body.service)?;
    Ok(TemplateFiles { files }.into())
}
