//! The objects a repository already has, asked while a push is checked.

use std::path::PathBuf;

use base::Result;
use gix::ObjectId;
use gix::objs::{Find as _, FindHeader as _};

use crate::internal;
use crate::pack::Kind;

pub(crate) struct Store(gix::odb::Handle);

impl Store {
    /// Opens an `objects` directory as it is now; packs that come later are not seen.
    pub(crate) fn open(objects: PathBuf) -> Result<Self> {
        let mut handle = gix::odb::at(objects, gix::hash::Kind::Sha1).map_err(|e| internal("opening objects", e))?;
        handle.refresh_never();
        Ok(Self(handle))
    }

    /// What the object is, if it is here.
    pub(crate) fn kind(&self, id: &ObjectId) -> Result<Option<Kind>> {
        let header = self.0.try_header(id).map_err(|e| internal("looking for an object", e))?;
        Ok(header.map(|h| h.kind.into()))
    }

    /// The whole object, if it is here.
    pub(crate) fn read(&self, id: &ObjectId) -> Result<Option<(Kind, Vec<u8>)>> {
        let mut buffer = Vec::new();
        let found = self.0.try_find(id, &mut buffer).map_err(|e| internal("reading an object", e))?;
        let kind = found.map(|data| Kind::from(data.kind));
        Ok(kind.map(|kind| (kind, buffer)))
    }

    /// The commit an object leads to: itself, or through tags.
    pub(crate) fn peel(&self, id: ObjectId) -> Result<Option<ObjectId>> {
        let mut id = id;
        for _ in 0..16 {
            match self.read(&id)? {
                Some((Kind::Commit, _)) => return Ok(Some(id)),
                Some((Kind::Tag, data)) => {
                    let tag = gix::objs::TagRef::from_bytes(&data, gix::hash::Kind::Sha1)
                        .map_err(|e| internal("reading a tag", e))?;
                    id = tag.target();
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}
