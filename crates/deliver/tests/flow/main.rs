//! From an upload or a push to traffic and back, over a real store, with neighbours that are played.

mod builds;
mod foresight;
mod hostile;
mod keeping;
mod ports;
mod pushes;
mod rollouts;
mod world;
