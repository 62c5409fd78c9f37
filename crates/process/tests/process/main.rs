//! The engine against the real kernel. Needs Linux with user namespaces; as root it also tries the
//! engine as an ordinary user.

mod bench;
mod bombs;
mod conformance;
mod costs;
mod escape;
mod files;
mod life;
mod limits;
mod neighbour;
mod network;
mod user;
mod walls;
