//! The engine against the real kernel. Needs Linux with user namespaces; as root it also tries the
//! engine as an ordinary user.

mod bench;
mod bombs;
mod conformance;
mod escape;
mod files;
mod life;
mod limits;
mod neighbour;
mod user;
mod walls;
