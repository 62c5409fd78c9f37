//! The public contract of Orlop. Every endpoint is a type ([`Endpoint`]): its method, path, access
//! rule and wire types stand in one place, from which come the server's route, the client's call,
//! the OpenAPI document and the access matrix. The service manifest (`orlop.yaml`) is here too.

pub mod access;
pub mod catalog;
pub mod deliver;
mod endpoint;
pub mod errors;
mod forms;
pub mod manifest;
pub mod observe;
mod openapi;
mod page;
pub mod platform;
mod problem;
pub mod route;
pub mod run;

pub use endpoint::{ACTIONS, Access, Action, Endpoint, Method, Nothing, Row, Shape, TABLE, path_of};
pub use openapi::{document, document_json};
pub use page::{Page, PageQuery, next_page};
pub use problem::ProblemBody;
