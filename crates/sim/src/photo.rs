//! A world at one moment, from which many worlds can go on.

use std::sync::Arc;

use base::{Secret, Time};
use ports::Clock;

use crate::world::{Installation, World};
use crate::{Ack, Depot, Edge, Machine, ObjectMap, VirtualClock};

/// Everything that outlives the control plane, as it was.
pub struct Photo {
    installation: Arc<dyn Installation>,
    database: Vec<u8>,
    now: Time,
    machine: Arc<Machine>,
    edge: Arc<Edge>,
    objects: Arc<ObjectMap>,
    depot: Arc<Depot>,
    random: u64,
    token: Option<Secret<String>>,
    requests: u64,
    acks: Vec<Ack>,
}

impl World {
    /// Takes a photo; the control plane is restarted for it.
    pub async fn photograph(&mut self) -> Photo {
        self.bury().await;
        let database = std::fs::read(self.database()).expect("the database file of a world can be read");
        self.boot().await;
        let (clock, machine) = frozen(&self.machine, self.clock.now());
        Photo {
            installation: Arc::clone(&self.installation),
            database,
            now: self.clock.now(),
            edge: Arc::new(self.edge.copy(clock, Arc::clone(&machine))),
            machine,
            objects: Arc::new(self.objects.copy()),
            depot: Arc::new(self.depot.copy()),
            random: self.random.state(),
            token: self.token.clone(),
            requests: self.requests,
            acks: self.acks.clone(),
        }
    }

    /// A world that goes on from a photo, with its own chance.
    pub async fn from_photo(photo: &Photo, seed: u64) -> Self {
        let (clock, machine) = frozen(&photo.machine, photo.now);
        let edge = Arc::new(photo.edge.copy(Arc::clone(&clock), Arc::clone(&machine)));
        let installation = Arc::clone(&photo.installation);
        let mut world = Self::around(installation, seed, clock, machine, edge);
        world.objects = Arc::new(photo.objects.copy());
        world.depot = Arc::new(photo.depot.copy());
        std::fs::write(world.database(), &photo.database).expect("a world's directory can be written");
        world.random = Arc::new(crate::Chance::seeded(photo.random));
        world.token.clone_from(&photo.token);
        world.requests = photo.requests;
        world.acks.clone_from(&photo.acks);
        world.boot().await;
        world
    }

    /// The database becomes what it was on the photo and nothing else does: a disk that lied.
    pub async fn lose_since(&mut self, photo: &Photo) {
        self.bury().await;
        for suffix in ["-wal", "-shm"] {
            let mut path = self.database().into_os_string();
            path.push(suffix);
            // It is there only if the database was not closed.
            let _ = std::fs::remove_file(path);
        }
        std::fs::write(self.database(), &photo.database).expect("a world's directory can be written");
        self.reread();
        self.boot().await;
    }
}

fn frozen(machine: &Machine, now: Time) -> (Arc<VirtualClock>, Arc<Machine>) {
    let clock = Arc::new(VirtualClock::at(now));
    let machine = Arc::new(machine.copy(Arc::clone(&clock)));
    (clock, machine)
}
