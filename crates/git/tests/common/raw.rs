//! Pushes built byte by byte, without git.

use std::io::Write as _;

use base::Problem;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures_util::{StreamExt as _, stream};
use gix::ObjectId;
use gix::hash::Kind;
use ports::{ByteStream, ReceiveLimits, Sources as _};

use super::{Policy, Server};

pub const COMMIT: u8 = 1;
pub const TREE: u8 = 2;
pub const BLOB: u8 = 3;
pub const TAG: u8 = 4;
pub const ZERO: &str = "0000000000000000000000000000000000000000";

/// A pack whose every part can be wrong.
#[derive(Default, Clone)]
pub struct Pack {
    pub entries: Vec<Vec<u8>>,
}

impl Pack {
    /// Adds a whole object; returns its id.
    pub fn add(&mut self, kind: u8, data: &[u8]) -> ObjectId {
        self.entries.push([entry_head(kind, data.len() as u64), zlib(data)].concat());
        id(kind, data)
    }

    /// Adds a delta against an id.
    pub fn on_id(&mut self, base: ObjectId, delta: &[u8]) {
        self.entries.push([entry_head(7, delta.len() as u64), base.as_slice().to_vec(), zlib(delta)].concat());
    }

    /// Adds a delta against what begins so many bytes before it (fewer than 128).
    pub fn on_offset(&mut self, distance: u8, delta: &[u8]) {
        self.entries.push([entry_head(6, delta.len() as u64), vec![distance], zlib(delta)].concat());
    }

    /// Adds a blob, a tree with it and a commit with that; returns the commit.
    pub fn history(&mut self, content: &[u8]) -> ObjectId {
        let blob = self.add(BLOB, content);
        let tree = self.add(TREE, &tree(&[("100644", b"file", blob)]));
        self.add(COMMIT, &commit(tree, &[]))
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.counted(self.entries.len() as u32)
    }

    /// The pack with another number of objects in its head.
    pub fn counted(&self, count: u32) -> Vec<u8> {
        let mut out = b"PACK\0\0\0\x02".to_vec();
        out.extend_from_slice(&count.to_be_bytes());
        out.extend(self.entries.concat());
        seal(out)
    }
}

/// Adds the right checksum.
pub fn seal(mut content: Vec<u8>) -> Vec<u8> {
    let mut hash = gix::hash::hasher(Kind::Sha1);
    hash.update(&content);
    content.extend_from_slice(hash.try_finalize().unwrap().as_slice());
    content
}

pub fn entry_head(kind: u8, size: u64) -> Vec<u8> {
    let (mut byte, mut rest, mut out) = (kind << 4 | (size & 15) as u8, size >> 4, Vec::new());
    while rest > 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
    out
}

pub fn number(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

pub fn zlib(data: &[u8]) -> Vec<u8> {
    let mut z = ZlibEncoder::new(Vec::new(), Compression::best());
    z.write_all(data).unwrap();
    z.finish().unwrap()
}

pub fn id(kind: u8, data: &[u8]) -> ObjectId {
    let kind = [gix::objs::Kind::Commit, gix::objs::Kind::Tree, gix::objs::Kind::Blob, gix::objs::Kind::Tag]
        [usize::from(kind) - 1];
    gix::objs::compute_hash(Kind::Sha1, kind, data).unwrap()
}

pub fn tree(entries: &[(&str, &[u8], ObjectId)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (mode, name, id) in entries {
        out.extend_from_slice(mode.as_bytes());
        out.push(b' ');
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(id.as_slice());
    }
    out
}

pub fn commit(tree: ObjectId, parents: &[ObjectId]) -> Vec<u8> {
    let parents: String = parents.iter().map(|p| format!("parent {p}\n")).collect();
    let who = "Ada <ada@example.org> 1790000000 +0000";
    format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\nsubject\n").into_bytes()
}

pub fn packet(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [format!("{:04x}", content.len() + 4).as_bytes(), content].concat()
}

/// The command section: `(old, new, name)` with capabilities on the first line.
pub fn commands(capabilities: &str, commands: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, (old, new, name)) in commands.iter().enumerate() {
        let capabilities = if i == 0 { format!("\0{capabilities}") } else { String::new() };
        out.extend(packet(format!("{old} {new} {name}{capabilities}")));
    }
    out.extend_from_slice(b"0000");
    out
}

pub fn stream_of(body: &[u8], step: usize) -> ByteStream {
    let chunks: Vec<_> = body.chunks(step).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    stream::iter(chunks).boxed()
}

/// Sends a body; returns the whole reply, or the problem as text.
pub async fn send(server: &Server, body: &[u8], step: usize) -> String {
    match start(server, stream_of(body, step)).await {
        Ok(mut reply) => {
            let mut out = Vec::new();
            while let Some(chunk) = reply.next().await {
                out.extend_from_slice(&chunk.unwrap());
            }
            String::from_utf8_lossy(&out).into_owned()
        }
        Err(problem) => format!("{}: {problem}", problem.code),
    }
}

pub async fn start(server: &Server, body: ByteStream) -> Result<ByteStream, Problem> {
    let limits: ReceiveLimits = server.rules.limits.lock().unwrap().unwrap_or_default();
    let policy = Box::new(Policy(server.rules.clone()));
    server.sources.receive(&"shop".parse().unwrap(), body, limits, policy).await
}
