//! The engine against the real kernel. Needs Linux with user namespaces; as root it also tries the
//! engine as an ordinary user.

mod bench;
mod conformance;
mod files;
mod life;
mod limits;
mod user;
mod walls;
