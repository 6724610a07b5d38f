//! `fields`: headers.

use super::{Wasi, Weight, types};
use crate::imports::http::is_ours;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use types::HeaderError;
use wasmtime::component::Resource;

/// Lines that one set of headers may have.
const MOST_LINES: usize = 256;

/// What a line takes up beside its text.
const LINE: usize = 64;

/// Where a guest cannot be told otherwise.
const TOO_MUCH: &str = "its requests and answers hold too much of the broker's memory";

/// Headers of a request or an answer.
pub struct Fields {
    pub(super) lines: HeaderMap,
    pub(super) weight: Weight,
    immutable: bool,
}

impl Fields {
    fn new(weight: Weight) -> Self {
        Self { lines: HeaderMap::new(), weight, immutable: false }
    }

    /// A copy that nobody changes.
    pub(super) fn of(lines: &HeaderMap, mut weight: Weight) -> wasmtime::Result<Self> {
        wasmtime::ensure!(weight.add(Self::size(lines)), "{TOO_MUCH}");
        Ok(Self { lines: lines.clone(), weight, immutable: true })
    }

    /// What lines take up.
    pub(super) fn size(lines: &HeaderMap) -> usize {
        lines.iter().map(|(name, value)| line(name, value)).sum()
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        let name = self.changeable(name)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| HeaderError::InvalidSyntax)?;
        // There is no better word for too many.
        if self.lines.len() >= MOST_LINES || !self.weight.add(line(&name, &value)) {
            return Err(HeaderError::Forbidden);
        }
        self.lines.try_append(name, value).map(|_| ()).map_err(|_| HeaderError::Forbidden)
    }

    fn delete(&mut self, name: &str) -> Result<(), HeaderError> {
        let name = self.changeable(name)?;
        if let header::Entry::Occupied(entry) = self.lines.entry(&name) {
            let (name, values) = entry.remove_entry_mult();
            self.weight.subtract(values.map(|value| line(&name, &value)).sum());
        }
        Ok(())
    }

    /// `name`, if a guest may change that line.
    fn changeable(&self, name: &str) -> Result<HeaderName, HeaderError> {
        if self.immutable {
            return Err(HeaderError::Immutable);
        }
        let name = HeaderName::try_from(name).map_err(|_| HeaderError::InvalidSyntax)?;
        if is_ours(&name) {
            return Err(HeaderError::Forbidden);
        }
        Ok(name)
    }
}

fn line(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + LINE
}

impl types::HostFields for Wasi {
    fn new(&mut self) -> wasmtime::Result<Resource<Fields>> {
        self.lend(Fields::new(self.scale.nothing()))
    }

    fn from_list(
        &mut self,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<Resource<Fields>, HeaderError>> {
        let mut fields = Fields::new(self.scale.nothing());
        for (name, value) in entries {
            if let Err(error) = fields.append(&name, &value) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(self.lend(fields)?))
    }

    fn get(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let fields = self.resources.get(&fields)?;
        Ok(fields.lines.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    fn has(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<bool> {
        Ok(self.resources.get(&fields)?.lines.contains_key(name))
    }

    fn set(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        let fields = self.resources.get_mut(&fields)?;
        let set = fields.delete(&name);
        Ok(set.and_then(|()| values.iter().try_for_each(|value| fields.append(&name, value))))
    }

    fn delete(
        &mut self,
        fields: Resource<Fields>,
        name: String,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        Ok(self.resources.get_mut(&fields)?.delete(&name))
    }

    fn append(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        Ok(self.resources.get_mut(&fields)?.append(&name, &value))
    }

    fn entries(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let lines = &self.resources.get(&fields)?.lines;
        Ok(lines.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect())
    }

    fn clone(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Resource<Fields>> {
        let copy = Fields::of(&self.resources.get(&fields)?.lines, self.scale.nothing())?;
        self.lend(Fields { immutable: false, ..copy })
    }

    fn drop(&mut self, fields: Resource<Fields>) -> wasmtime::Result<()> {
        self.resources.delete(fields)?;
        Ok(())
    }
}
